//! The test vectors that all clients share, against a live server. ORTOLAN_ADDRESS and ORTOLAN_VECTORS name the two;
//! `make test-clients` sets them.

mod file;

use std::time::Duration;

use file::{Answer, Failure, HealthAnswer, Vectors, declared, outputs, request, setting};
use ortolan::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use ortolan::inference::{ModelMetadataRequest, ModelReadyRequest};
use ortolan::v1::provider_reflection_client::ProviderReflectionClient;
use ortolan::v1::{GetAssignmentRequest, ListAssignmentsRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const DEADLINE: Duration = Duration::from_secs(30);

async fn channel() -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", setting("ORTOLAN_ADDRESS"))).expect("an address");
    endpoint.timeout(DEADLINE).connect().await.expect("a server at ORTOLAN_ADDRESS")
}

/// As the vectors write it: NOT_FOUND.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[tokio::test]
async fn inferences_answer_as_the_vectors_say() {
    let mut client = GrpcInferenceServiceClient::new(channel().await);
    let vectors = Vectors::read().infer;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let asked = request(&vector.model, &vector.version, &vector.inputs);
        let answer = client.model_infer(asked).await.unwrap_or_else(|status| panic!("{}: {status}", vector.name));
        assert_eq!(outputs(answer.into_inner()), vector.outputs, "{}", vector.name);
    }
}

#[tokio::test]
async fn failures_carry_their_code_and_text() {
    let channel = channel().await;
    let vectors = Vectors::read().failures;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let Err(status) = call(channel.clone(), &vector).await else { panic!("{}: it was answered", vector.name) };
        assert_eq!(name(status.code()), vector.code, "{}: {}", vector.name, status.message());
        assert!(status.message().contains(&vector.text), "{}: {}", vector.name, status.message());
    }
}

async fn call(channel: Channel, vector: &Failure) -> Result<(), Status> {
    let mut inference = GrpcInferenceServiceClient::new(channel.clone());
    let (name, version) = (vector.model.clone(), vector.version.clone());
    match vector.rpc.as_str() {
        "ModelInfer" => {
            inference.model_infer(request(&name, &version, &vector.inputs)).await?;
        }
        "ModelMetadata" => {
            inference.model_metadata(ModelMetadataRequest { name, version }).await?;
        }
        "ModelReady" => {
            inference.model_ready(ModelReadyRequest { name, version }).await?;
        }
        "GetAssignment" => {
            let asked = GetAssignmentRequest { model: name, version, omit_nodes: true };
            ProviderReflectionClient::new(channel).get_assignment(asked).await?;
        }
        other => panic!("these tests do not call {other}"),
    }
    Ok(())
}

#[tokio::test]
async fn streams_answer_in_order_and_carry_errors_as_items() {
    let mut client = GrpcInferenceServiceClient::new(channel().await);
    let vectors = Vectors::read().streams;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let asked: Vec<_> = vector.items.iter().map(|item| request(&vector.model, "", &item.inputs)).collect();
        let mut answers =
            client.model_stream_infer(tokio_stream::iter(asked)).await.expect("a stream opens").into_inner();
        for (number, item) in vector.items.into_iter().enumerate() {
            let place = format!("{}, item {number}", vector.name);
            let answer = answers.message().await.expect("a stream lives").expect("an answer for each question");
            match item.answer {
                Answer::Error(text) => {
                    assert!(answer.error_message.contains(&text), "{place}: {}", answer.error_message);
                }
                Answer::Outputs(tensors) => {
                    assert_eq!(answer.error_message, "", "{place}");
                    assert_eq!(outputs(answer.infer_response.unwrap_or_default()), tensors, "{place}");
                }
            }
        }
        assert_eq!(answers.message().await.expect("a stream ends well"), None, "{}", vector.name);
    }
}

#[tokio::test]
async fn health_is_told_for_each_service() {
    let mut client = HealthClient::new(channel().await);
    let vectors = Vectors::read().health;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let answer = client.check(HealthCheckRequest { service: vector.service.clone() }).await;
        match (answer, vector.answer) {
            (Ok(answer), HealthAnswer::Status(status)) => {
                assert_eq!(answer.into_inner().status().as_str_name(), status, "{:?}", vector.service);
            }
            (Err(status), HealthAnswer::Code(code)) => assert_eq!(name(status.code()), code, "{:?}", vector.service),
            (answer, _) => panic!("{:?}: {answer:?}", vector.service),
        }
    }
}

#[tokio::test]
async fn readiness_is_told_for_each_model() {
    let mut client = GrpcInferenceServiceClient::new(channel().await);
    let vectors = Vectors::read().ready;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let asked = ModelReadyRequest { name: vector.model.clone(), version: String::new() };
        let answer = client.model_ready(asked).await.expect("an answer").into_inner();
        assert_eq!(answer.ready, vector.ready, "{}", vector.model);
    }
}

#[tokio::test]
async fn metadata_names_the_tensors() {
    let mut client = GrpcInferenceServiceClient::new(channel().await);
    let vectors = Vectors::read().metadata;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let asked = ModelMetadataRequest { name: vector.model.clone(), version: String::new() };
        let answer = client.model_metadata(asked).await.expect("an answer").into_inner();
        assert_eq!(answer.inputs, declared(vector.inputs), "{}", vector.model);
        assert_eq!(answer.outputs, declared(vector.outputs), "{}", vector.model);
    }
}

#[tokio::test]
async fn reflection_tells_where_each_model_runs() {
    let mut client = ProviderReflectionClient::new(channel().await);
    let vectors = Vectors::read().assignments;
    assert!(!vectors.is_empty());
    for vector in vectors {
        let asked = ListAssignmentsRequest { model: vector.model.clone() };
        let rows = client.list_assignments(asked).await.expect("an answer").into_inner().assignments;
        let [row] = rows.as_slice() else { panic!("{}: {} rows", vector.model, rows.len()) };
        assert_eq!(row.version, vector.version, "{}", vector.model);
        assert_eq!(row.state, vector.state, "{}", vector.model);
        assert_eq!(row.verdict().as_str_name(), vector.verdict, "{}", vector.model);
        assert_eq!(row.serving_provider, vector.serving_provider, "{}", vector.model);
        assert_eq!(row.serving_rung, vector.serving_rung, "{}", vector.model);
        assert_eq!(row.nodes, vector.nodes, "{}", vector.model);
    }
}
