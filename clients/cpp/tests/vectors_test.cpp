// The test vectors that all clients share, against a live server. ORTOLAN_ADDRESS and ORTOLAN_VECTORS name the two;
// `make test-clients` sets them.
#include "vectors.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "ortolan/inference/inference.grpc.pb.h"
#include "ortolan/v1/provider_reflection.grpc.pb.h"

namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using inference::GRPCInferenceService;
using ortolan::v1::ProviderReflection;
using vectors::Json;

constexpr auto kDeadline = std::chrono::seconds(30);

// A context for one call.
class Context : public grpc::ClientContext {
 public:
  Context() { set_deadline(std::chrono::system_clock::now() + kDeadline); }
};

std::shared_ptr<grpc::Channel> Channel() {
  static const auto channel =
      grpc::CreateChannel(vectors::Setting("ORTOLAN_ADDRESS"), grpc::InsecureChannelCredentials());
  return channel;
}

std::unique_ptr<GRPCInferenceService::Stub> Inference() { return GRPCInferenceService::NewStub(Channel()); }

std::unique_ptr<ProviderReflection::Stub> Reflection() { return ProviderReflection::NewStub(Channel()); }

// As the vectors write it.
std::string Name(grpc::StatusCode code) {
  static const std::map<grpc::StatusCode, std::string> names = {
      {grpc::OK, "OK"},
      {grpc::INVALID_ARGUMENT, "INVALID_ARGUMENT"},
      {grpc::NOT_FOUND, "NOT_FOUND"},
      {grpc::UNAVAILABLE, "UNAVAILABLE"},
  };
  const auto found = names.find(code);
  return found == names.end() ? "status " + std::to_string(code) : found->second;
}

grpc::Status Call(const Json& vector) {
  const std::string rpc = vector.at("rpc"), model = vector.at("model"), version = vector.at("version");
  Context context;
  if (rpc == "ModelInfer") {
    inference::ModelInferResponse answer;
    return Inference()->ModelInfer(&context, vectors::Request(model, version, vector.at("inputs")), &answer);
  }
  if (rpc == "ModelMetadata") {
    inference::ModelMetadataRequest request;
    request.set_name(model);
    request.set_version(version);
    inference::ModelMetadataResponse answer;
    return Inference()->ModelMetadata(&context, request, &answer);
  }
  if (rpc == "ModelReady") {
    inference::ModelReadyRequest request;
    request.set_name(model);
    request.set_version(version);
    inference::ModelReadyResponse answer;
    return Inference()->ModelReady(&context, request, &answer);
  }
  if (rpc == "GetAssignment") {
    ortolan::v1::GetAssignmentRequest request;
    request.set_model(model);
    request.set_version(version);
    ortolan::v1::GetAssignmentResponse answer;
    return Reflection()->GetAssignment(&context, request, &answer);
  }
  throw std::runtime_error("these tests do not call " + rpc);
}

TEST(Vectors, InferencesAnswerAsTheVectorsSay) {
  for (const auto& vector : vectors::Group("infer")) {
    SCOPED_TRACE(vector.at("name"));
    Context context;
    inference::ModelInferResponse answer;
    const auto request = vectors::Request(vector.at("model"), vector.at("version"), vector.at("inputs"));
    const auto status = Inference()->ModelInfer(&context, request, &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(vectors::Outputs(answer), vectors::Raw(vector.at("outputs")));
  }
}

TEST(Vectors, FailuresCarryTheirCodeAndText) {
  for (const auto& vector : vectors::Group("failures")) {
    SCOPED_TRACE(vector.at("name"));
    const auto status = Call(vector);
    EXPECT_EQ(Name(status.error_code()), vector.at("code")) << status.error_message();
    EXPECT_NE(status.error_message().find(vector.at("text").get<std::string>()), std::string::npos)
        << status.error_message();
  }
}

TEST(Vectors, StreamsAnswerInOrderAndCarryErrorsAsItems) {
  for (const auto& vector : vectors::Group("streams")) {
    SCOPED_TRACE(vector.at("name"));
    Context context;
    const auto stream = Inference()->ModelStreamInfer(&context);
    for (const auto& item : vector.at("items")) {
      ASSERT_TRUE(stream->Write(vectors::Request(vector.at("model"), "", item.at("inputs"))));
    }
    ASSERT_TRUE(stream->WritesDone());
    inference::ModelStreamInferResponse answer;
    for (const auto& item : vector.at("items")) {
      ASSERT_TRUE(stream->Read(&answer));
      if (item.contains("error")) {
        EXPECT_NE(answer.error_message().find(item.at("error").get<std::string>()), std::string::npos)
            << answer.error_message();
      } else {
        EXPECT_EQ(answer.error_message(), "");
        EXPECT_EQ(vectors::Outputs(answer.infer_response()), vectors::Raw(item.at("outputs")));
      }
    }
    EXPECT_FALSE(stream->Read(&answer));
    const auto status = stream->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

TEST(Vectors, HealthIsToldForEachService) {
  const auto health = Health::NewStub(Channel());
  for (const auto& vector : vectors::Group("health")) {
    SCOPED_TRACE(vector.dump());
    Context context;
    HealthCheckRequest request;
    request.set_service(vector.at("service"));
    HealthCheckResponse answer;
    const auto status = health->Check(&context, request, &answer);
    EXPECT_EQ(Name(status.error_code()), vector.value("code", "OK")) << status.error_message();
    if (status.ok()) {
      EXPECT_EQ(HealthCheckResponse::ServingStatus_Name(answer.status()), vector.at("status"));
    }
  }
}

TEST(Vectors, ReadinessIsToldForEachModel) {
  for (const auto& vector : vectors::Group("ready")) {
    SCOPED_TRACE(vector.at("model"));
    Context context;
    inference::ModelReadyRequest request;
    request.set_name(vector.at("model"));
    inference::ModelReadyResponse answer;
    const auto status = Inference()->ModelReady(&context, request, &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(answer.ready(), vector.at("ready"));
  }
}

TEST(Vectors, MetadataNamesTheTensors) {
  for (const auto& vector : vectors::Group("metadata")) {
    SCOPED_TRACE(vector.at("model"));
    Context context;
    inference::ModelMetadataRequest request;
    request.set_name(vector.at("model"));
    inference::ModelMetadataResponse answer;
    const auto status = Inference()->ModelMetadata(&context, request, &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(vectors::Declared(answer.inputs()), vector.at("inputs"));
    EXPECT_EQ(vectors::Declared(answer.outputs()), vector.at("outputs"));
  }
}

TEST(Vectors, ReflectionTellsWhereEachModelRuns) {
  for (const auto& vector : vectors::Group("assignments")) {
    SCOPED_TRACE(vector.at("model"));
    Context context;
    ortolan::v1::ListAssignmentsRequest request;
    request.set_model(vector.at("model"));
    ortolan::v1::ListAssignmentsResponse answer;
    const auto status = Reflection()->ListAssignments(&context, request, &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(answer.assignments_size(), 1);
    const auto& row = answer.assignments(0);
    const Json told = {
        {"model", row.model()},
        {"version", row.version()},
        {"state", row.state()},
        {"verdict", ortolan::v1::Verdict::State_Name(row.verdict())},
        {"serving_provider", row.serving_provider()},
        {"serving_rung", row.serving_rung()},
        {"nodes", std::map<std::string, int>(row.nodes().begin(), row.nodes().end())},
    };
    EXPECT_EQ(told, vector);
  }
}

}  // namespace
