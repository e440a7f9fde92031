//! Weights decide how many connections a server gets, and they come evenly spread.

use lb_lab::curl;
use lb_lab::{Result, Topology};

use crate::stage::{Stage, assert_shares, config, lab};

const CONNECTIONS: usize = 600;
const WEIGHTS: [(&str, usize); 3] = [("bettley", 3), ("fenn", 2), ("gardener", 1)];
/// The sum of the weights: after so many connections each server has had its share.
const ROUND: usize = 6;

#[test]
fn weights_are_kept_in_every_round() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native").weights(&[3, 2, 1]);
    let stage = Stage::set_in(lab, &config)?;

    let names = curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?;
    assert_eq!(names.len(), CONNECTIONS);
    for round in names.windows(ROUND) {
        assert_shares_exactly(round);
    }
    assert_shares(&curl::tally(names), &WEIGHTS);
    Ok(())
}

fn assert_shares_exactly(round: &[String]) {
    for (name, weight) in WEIGHTS {
        let share = round.iter().filter(|answer| *answer == name).count();
        assert_eq!(share, weight, "{name} in {round:?}");
    }
}
