// Reads a handwritten digit, and asks what it ran on.
//
//   digits [ADDRESS]
#include <grpcpp/grpcpp.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include "ortolan/inference/inference.grpc.pb.h"
#include "ortolan/v1/provider_reflection.grpc.pb.h"

namespace {

constexpr auto kDeadline = std::chrono::seconds(10);

// A seven: 8 × 8 pixels, 0 is white and 16 is black.
// clang-format off
constexpr std::array<float, 64> kSeven = {
    0, 0,  7,  8, 13, 16, 15, 1,
    0, 0,  7,  7,  4, 11, 12, 0,
    0, 0,  0,  0,  8, 13,  1, 0,
    0, 4,  8,  8, 15, 15,  6, 0,
    0, 2, 11, 15, 15,  4,  0, 0,
    0, 0,  0, 16,  5,  0,  0, 0,
    0, 0,  9, 15,  1,  0,  0, 0,
    0, 0, 13,  5,  0,  0,  0, 0,
};
// clang-format on

void Expect(const grpc::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.error_message());
}

// Raw contents are little-endian; so are the processors that this is meant for.
std::int64_t Read(const std::shared_ptr<grpc::Channel>& channel, const std::array<float, 64>& pixels) {
  inference::ModelInferRequest request;
  request.set_model_name("digits");
  auto* input = request.add_inputs();
  input->set_name("X");
  input->set_datatype("FP32");
  input->add_shape(1);
  input->add_shape(pixels.size());
  request.add_raw_input_contents(pixels.data(), sizeof(pixels));
  request.add_outputs()->set_name("label");

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  inference::ModelInferResponse answer;
  Expect(inference::GRPCInferenceService::NewStub(channel)->ModelInfer(&context, request, &answer));

  std::int64_t label = 0;
  if (answer.raw_output_contents_size() != 1 || answer.raw_output_contents(0).size() != sizeof(label)) {
    throw std::runtime_error("the answer is not one label");
  }
  std::memcpy(&label, answer.raw_output_contents(0).data(), sizeof(label));
  return label;
}

void PrintAssignments(const std::shared_ptr<grpc::Channel>& channel) {
  ortolan::v1::ListAssignmentsRequest request;
  request.set_model("digits");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  ortolan::v1::ListAssignmentsResponse answer;
  Expect(ortolan::v1::ProviderReflection::NewStub(channel)->ListAssignments(&context, request, &answer));

  for (const auto& row : answer.assignments()) {
    std::cout << row.model() << "/" << row.version() << " " << ortolan::v1::Verdict::State_Name(row.verdict()) << " on "
              << row.serving_provider() << "\n";
    for (const auto& [provider, nodes] : row.nodes()) std::cout << "  " << nodes << " nodes on " << provider << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string address = argc > 1 ? argv[1] : "127.0.0.1:8001";
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  try {
    const std::int64_t digit = Read(channel, kSeven);
    std::cout << "it is a " << digit << "\n";
    PrintAssignments(channel);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
