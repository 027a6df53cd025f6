//! A new migration must rebuild this crate: it carries the migrations in itself.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
