//! Reads a handwritten digit, and asks what it ran on.
//!
//!     cargo run --example digits [ADDRESS]

use std::error::Error;
use std::time::Duration;

use ortolan::inference::ModelInferRequest;
use ortolan::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use ortolan::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use ortolan::v1::ListAssignmentsRequest;
use ortolan::v1::provider_reflection_client::ProviderReflectionClient;
use tonic::Request;
use tonic::transport::Endpoint;

const DEADLINE: Duration = Duration::from_secs(10);

/// A seven: 8 × 8 pixels, 0 is white and 16 is black.
#[rustfmt::skip]
const SEVEN: [f32; 64] = [
    0., 0.,  7.,  8., 13., 16., 15., 1.,
    0., 0.,  7.,  7.,  4., 11., 12., 0.,
    0., 0.,  0.,  0.,  8., 13.,  1., 0.,
    0., 4.,  8.,  8., 15., 15.,  6., 0.,
    0., 2., 11., 15., 15.,  4.,  0., 0.,
    0., 0.,  0., 16.,  5.,  0.,  0., 0.,
    0., 0.,  9., 15.,  1.,  0.,  0., 0.,
    0., 0., 13.,  5.,  0.,  0.,  0., 0.,
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".to_owned());
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;

    let mut request = Request::new(ModelInferRequest {
        model_name: "digits".to_owned(),
        inputs: vec![InferInputTensor {
            name: "X".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 64],
            ..Default::default()
        }],
        raw_input_contents: vec![SEVEN.into_iter().flat_map(f32::to_le_bytes).collect()],
        outputs: vec![InferRequestedOutputTensor { name: "label".to_owned(), ..Default::default() }],
        ..Default::default()
    });
    request.set_timeout(DEADLINE);
    let answer = GrpcInferenceServiceClient::new(channel.clone()).model_infer(request).await?.into_inner();
    let label = answer.raw_output_contents.first().ok_or("no output came")?;
    println!("it is a {}", i64::from_le_bytes(label.as_slice().try_into()?));

    let mut request = Request::new(ListAssignmentsRequest { model: "digits".to_owned() });
    request.set_timeout(DEADLINE);
    let answer = ProviderReflectionClient::new(channel).list_assignments(request).await?.into_inner();
    for row in answer.assignments {
        let verdict = row.verdict().as_str_name();
        println!("{}/{} {verdict} on {}", row.model, row.version, row.serving_provider);
        for (provider, nodes) in row.nodes {
            println!("  {nodes} nodes on {provider}");
        }
    }
    Ok(())
}
