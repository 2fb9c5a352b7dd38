//! The library without a mount: one path, two credentials, two files.
//!
//!     cargo run --release --example two_views

#![allow(clippy::print_stdout)]

use chartfs::demo::realm::{enter, found};
use chartfs::record::marks::Marks;
use chartfs::store::Bucket;

#[tokio::main]
async fn main() -> chartfs::error::Result<()> {
    let demo = found(Bucket::memory(), 1, |_| {}).await?;
    let path = format!("/{}/record.json", demo.folders[0]);
    for role in demo.roles {
        if role.name != "pharmacist" && role.name != "billing" {
            continue;
        }
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory()).await?;
        let mut kinds = Vec::new();
        view.read_path(&path, |piece| {
            let text = String::from_utf8_lossy(&piece).into_owned();
            for part in text.split("\"resourceType\": \"").skip(1) {
                kinds.push(part.split('"').next().unwrap_or_default().to_owned());
            }
            Ok(())
        })
        .await?;
        println!("{} reads {}", role.name, kinds.join(", "));
    }
    Ok(())
}
