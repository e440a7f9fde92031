//! Packet fixtures: frames through the program in the kernel, exact bytes out.

mod rig;

#[test]
fn loads() {
    let rig = rig::Rig::new();
    println!("{:?}", rig.run(&[0u8; 64]));
}
