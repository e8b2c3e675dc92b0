// The floor: what gRPC itself costs in C++. Sends every message back as it came, whatever the method, without a look
// at its content: no protobuf, no tensor, no model.
//
//   echo PORT
//
// One thread on a completion queue answers every call itself. gRPC's callback API was tried in its place: on one core it
// cost as much or more for a call, since it hands each step to threads of its own.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <string>

namespace {

// One call on the completion queue: read, write, read, … until the caller has said all, then the status.
class QueuedCall {
 public:
  QueuedCall(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue), stream_(&context_) {
    service_.RequestCall(&context_, &stream_, &queue_, &queue_, this);
  }

  void Proceed(bool ok) {
    switch (step_) {
      case Step::kAsked:
        if (!ok) return Done();
        new QueuedCall(service_, queue_);
        step_ = Step::kReading;
        return stream_.Read(&message_, this);
      case Step::kReading:
        if (!ok) {
          step_ = Step::kFinishing;
          return stream_.Finish(grpc::Status::OK, this);
        }
        step_ = Step::kWriting;
        return stream_.Write(message_, this);
      case Step::kWriting:
        if (!ok) {
          step_ = Step::kFinishing;
          return stream_.Finish(grpc::Status::CANCELLED, this);
        }
        step_ = Step::kReading;
        return stream_.Read(&message_, this);
      case Step::kFinishing:
        return Done();
    }
  }

 private:
  enum class Step { kAsked, kReading, kWriting, kFinishing };

  void Done() { delete this; }

  grpc::AsyncGenericService& service_;
  grpc::ServerCompletionQueue& queue_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  grpc::ByteBuffer message_;
  Step step_ = Step::kAsked;
};

constexpr int kCallsAskedAhead = 256;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: echo PORT\n");
    return 2;
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::string(argv[1]), grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(-1);

  grpc::AsyncGenericService service;
  builder.RegisterAsyncGenericService(&service);
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  for (int i = 0; i < kCallsAskedAhead; ++i) new QueuedCall(service, *queue);
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) static_cast<QueuedCall*>(tag)->Proceed(ok);
  return 0;
}
