//! Makes the stubs from the repository's .proto files. They are compiled by protox, so no protoc has to be installed.

use std::error::Error;
use std::path::Path;

const ROOT: &str = "../../protos";
const PROTOS: [&str; 4] = [
    "ortolan/inference/inference.proto",
    "ortolan/inference/model_config.proto",
    "ortolan/v1/findings.proto",
    "ortolan/v1/provider_reflection.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for proto in PROTOS {
        println!("cargo::rerun-if-changed={}", Path::new(ROOT).join(proto).display());
    }
    let files = protox::compile(PROTOS, [ROOT])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
