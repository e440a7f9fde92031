//! HAProxy's view of the balancer: the table that its CSV, its socket and its metrics are made of.
//!
//! Where a column makes no sense for a balancer of packets it is 0, as HAProxy itself leaves it for TCP.

mod column;
mod csv;
mod info;
mod metrics;
mod row;
mod rows;
mod typed;
mod value;

pub use column::{Column, Kind};
pub use csv::csv;
pub use info::{Info, info};
pub(crate) use metrics::escaped;
pub use metrics::metrics;
pub use row::Row;
pub use rows::rows;
pub use typed::{info_json, info_typed, json, typed};
pub use value::Value;

/// The version of HAProxy whose formats these are. Tools look at it, and leave out what a version did not have.
pub const VERSION: &str = "2.6";

/// That version, and ours.
#[must_use]
pub fn version() -> String {
    format!("{VERSION}-xlb{}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, SystemTime};

    use lb_common::ending::How;

    use super::*;
    use crate::stats::table_tests::snapshot;
    use crate::stats::{Activity, Gauges, Outages, Process, Session, Timeline, View};

    /// A view in which hardly anything is zero.
    pub fn view() -> View {
        let (mut gauges, mut outages) = (Gauges::default(), Outages::default());
        let mut snapshot = snapshot();
        for (second, connections) in [(10, 300), (11, 325), (31, 325)] {
            snapshot.servers[0].connections = connections;
            gauges.look(&snapshot, Duration::from_secs(second));
            outages.look(&snapshot, Duration::from_secs(second));
        }
        let process = Process {
            pid: 4711,
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_721_411),
            uptime: Duration::from_secs(90_061),
            node: "pi".into(),
            dropped_logs: 3,
            tasks: 9,
            idle_percent: 98,
            max_files: 1_024,
        };
        View {
            at: Duration::from_secs(31),
            snapshot,
            gauges,
            outages,
            activity: activity(),
            timeline: Timeline::default(),
            process,
        }
    }

    /// Two connections of fenn have ended, one of them by its RST, and it starts slowly.
    fn activity() -> Activity {
        let mut activity = Activity::default();
        for (how, total) in [(How::Finished, 100), (How::ServerReset, 200)] {
            let connected_after = Some(Duration::from_millis(8));
            let session = Session { how, connected_after, total: Duration::from_millis(total) };
            activity.ended("k8s-api-server", Some("fenn"), &session);
        }
        let fenn = activity.server_mut("k8s-api-server", "fenn");
        fenn.throttle = Some(25);
        fenn.checks.record(Duration::from_micros(1_500));
        fenn.reset_for_health = 7;
        fenn.next_hop_answers = Some(false);
        activity.set_ring_switches("k8s-api-server", 3);
        activity
    }

    /// The rows of CSV by the names of their columns, without what is empty.
    fn cells(text: &str) -> Vec<Vec<(&str, &str)>> {
        let mut lines = text.lines().map(|line| line.strip_suffix(',').expect("each value has its comma"));
        let names: Vec<_> =
            lines.next().and_then(|line| line.strip_prefix("# ")).expect("names").split(',').collect();
        lines
            .map(|line| {
                let values: Vec<_> = line.split(',').collect();
                assert_eq!(values.len(), names.len(), "{line}");
                names.iter().copied().zip(values).filter(|(_, value)| !value.is_empty()).collect()
            })
            .collect()
    }

    #[test]
    fn what_is_not_zero_stands_where_haproxy_has_it() {
        let text = csv(&rows(&view()));
        let rows: Vec<String> = cells(&text)
            .iter()
            .map(|row| {
                let told = row.iter().filter(|(_, value)| !["0", "-"].contains(value));
                told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(
            rows,
            [
                "pxname=k8s-api-server svname=FRONTEND scur=5 smax=5 slim=4096 stot=1020 bin=1536 bout=3145728 \
                 status=OPEN pid=1 iid=2 mode=tcp conn_tot=1020",
                "pxname=k8s-api-server svname=bettley stot=325 bin=1536 bout=3145728 econ=10 wretr=4 wredis=4 \
                 status=UP weight=2 act=1 pid=1 iid=3 sid=1 lbtot=325 type=2 rate_max=25 lastsess=20 \
                 addr=198.18.0.11:6443 mode=tcp connect=325 uweight=2",
                "pxname=k8s-api-server svname=fenn scur=5 smax=5 stot=340 bin=1536 bout=3145728 econ=10 eresp=1 \
                 wretr=4 wredis=4 status=DOWN 1/2 weight=1 act=1 chkfail=3 chkdown=1 lastchg=61 downtime=61 pid=1 \
                 iid=3 sid=2 throttle=25 lbtot=340 type=2 check_status=L4CON srv_abrt=1 lastsess=-1 \
                 last_chk=Connection refused ctime=8 ttime=150 check_desc=Layer4 connection problem check_rise=2 \
                 check_fall=3 check_health=1 addr=198.18.0.15:6443 mode=tcp connect=340 ctime_max=8 ttime_max=200 \
                 used_conn_cur=5 need_conn_est=5 uweight=2",
                "pxname=k8s-api-server svname=BACKEND scur=5 smax=5 slim=4096 stot=1020 bin=1536 bout=3145728 \
                 econ=10 eresp=1 wretr=4 wredis=4 status=UP weight=2 act=1 lastchg=21 pid=1 iid=3 lbtot=1020 type=1 \
                 srv_abrt=1 lastsess=-1 ctime=8 ttime=150 mode=tcp algo=roundrobin connect=1020 ctime_max=8 \
                 ttime_max=200 uweight=2",
                "pxname=other svname=backup stot=300 bin=1536 bout=3145728 econ=10 wretr=4 wredis=4 \
                 status=no check weight=2 act=1 pid=1 iid=4 sid=1 lbtot=300 type=2 lastsess=-1 \
                 addr=198.18.0.16:6443 mode=tcp connect=300 uweight=2",
                "pxname=other svname=BACKEND status=UP weight=2 act=1 lastchg=21 pid=1 iid=4 type=1 lastsess=-1 \
                 mode=tcp algo=roundrobin uweight=2",
            ]
        );
    }

    /// The names are those of a HAProxy 2.6 in its order; end-to-end tests ask a real one.
    #[test]
    fn modules_have_a_separator_before_them() {
        let text = csv(&[]);
        assert!(text.starts_with("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,"), "{text}");
        assert!(
            text.contains(",uweight,agg_server_status,agg_server_check_status,agg_check_status,-,ssl_sess,")
        );
        assert!(text.ends_with(",h1_spliced_bytes_out,\n"));
    }

    #[test]
    fn text_that_has_commas_is_quoted() {
        let mut row = Row::new(Kind::Server, ("a", 3), ("b", 1));
        row.set(Column::LastChk, "no \"answer\", or\na late one".into());
        assert!(csv([&row]).contains(",\"no \"\"answer\"\", or\na late one\","));
    }

    #[test]
    fn typed_lines_have_place_tags_and_type() {
        let text = typed(&rows(&view()));
        for line in [
            "F.2.0.0.pxname.1:KNS:str:k8s-api-server",
            "F.2.0.4.scur.1:MGP:u32:5",
            "S.3.2.19.act.1:SGP:u32:1",
            "B.3.0.19.act.1:MGP:u32:1",
            "S.3.1.55.lastsess.1:MAP:s32:20",
            "B.3.0.103.ssl_sess.1:MCP:u64:0",
        ] {
            assert!(text.lines().any(|had| had == line), "{text}has no {line}");
        }
        let document: serde_json::Value = serde_json::from_str(&json(&rows(&view()))).expect("JSON");
        assert_eq!(
            document[0][2],
            serde_json::json!({
                "objType": "Frontend", "proxyId": 2, "id": 0, "field": {"pos": 4, "name": "scur"},
                "processNum": 1, "tags": {"origin": "Metric", "nature": "Gauge", "scope": "Process"},
                "value": {"type": "u32", "value": 5},
            })
        );
    }

    #[test]
    fn the_process_is_told_of_as_tools_read_it() {
        let info = info(&view());
        let of = |name| info.iter().find(|line| line.name == name).map(|line| line.value.to_string());
        assert_eq!(of("Uptime").as_deref(), Some("1d 1h01m01s"));
        assert_eq!(of("Uptime_sec").as_deref(), Some("90061"));
        assert_eq!(of("CumConns").as_deref(), Some("1020"));
        assert_eq!(of("MaxConnRate").as_deref(), Some("0"));
        assert_eq!(of("Listeners").as_deref(), Some("1"));
        assert_eq!(of("Jobs").as_deref(), Some("6"));
        assert_eq!(of("Idle_pct").as_deref(), Some("98"));
        assert_eq!(of("PoolUsed_bytes").as_deref(), Some("3146752"));
        let places: Vec<_> = info.iter().map(|line| line.place).collect();
        // HAProxy has two lines for zlib if it is built with it, and one for a description if it has one.
        let all: Vec<_> = (0..72).filter(|place| ![45, 46, 51].contains(place)).collect();
        assert_eq!(places, all);
        assert_eq!(of("Start_time_sec").as_deref(), Some("1795721411"));
        assert!(of("Version").expect("a version").starts_with("2.6"));
        assert!(info_typed(&info).starts_with("0.Name.1:POS:str:xlb\n"));
    }
}
