//! `chartfs cat`.

use clap::Args;

use super::drive::{DriveArgs, read_file, with_view};
use super::out::Out;
use super::report::{Exit, Outcome};
use super::session::Session;

/// Print files of the drive, without a mount
#[derive(Args, Debug)]
pub(super) struct CatArgs {
    /// The bucket
    bucket: String,
    /// The files
    #[arg(required = true)]
    paths: Vec<String>,
    #[command(flatten)]
    drive: DriveArgs,
}

pub(super) fn run(args: &CatArgs, session: &Session) -> Outcome {
    let mut out = Out::new(session.settings.color);
    with_view(session, &args.bucket, &args.drive, async |view| {
        for path in &args.paths {
            let attr = view.resolve(path).await?;
            read_file(view, attr.ino, |bytes| out.bytes(bytes)).await?;
        }
        Ok(())
    })?;
    Ok(Exit::DONE)
}
