// A flow: calls of one kind that go on for as long as the load lasts, and what became of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

using Nanoseconds = std::int64_t;
Nanoseconds Now();

struct Body {
  std::string request;       // with gRPC's head of five bytes
  std::size_t answer_bytes;  // how long each answer to it must be
};

struct FlowOptions {
  std::string name;
  std::string path = "/inference.GRPCInferenceService/ModelInfer";
  std::vector<Body> bodies;  // sent in turns
  int connections = 1;
  int in_flight = 1;      // of each connection; closed loop
  double rate_per_s = 0;  // open loop: calls of all connections together, in_flight then does not count
  bool stream = false;    // one stream for each connection that carries all its messages
};

class Flow {
 public:
  Flow(FlowOptions options, Nanoseconds window_start);

  const FlowOptions& options() const { return options_; }
  bool open_loop() const { return options_.rate_per_s > 0; }

  // Open loop: when the next call is due. They come as independent callers would: gaps are exponentially distributed.
  Nanoseconds due() const { return due_; }
  void Arrived();

  std::size_t NextBody();
  // An answer came. Latency counts from `since`: when the call was made, or, open loop, when it was due.
  void Answered(std::size_t body, Nanoseconds since, std::size_t answer_bytes);
  void Failed(const std::string& why);
  // What comes from now on is no longer measured.
  void Close() { closed_ = true; }
  bool has_too_few() const { return !open_loop() && failures_.empty() && latencies_.size() < kFewest; }

  std::string Report() const;

  std::size_t started = 0;
  std::size_t finished = 0;

 private:
  static constexpr std::size_t kFewest = 3;

  FlowOptions options_;
  Nanoseconds window_start_;
  bool closed_ = false;
  Nanoseconds due_;
  std::mt19937_64 random_{1};
  std::exponential_distribution<double> gap_s_;
  std::size_t next_body_ = 0;
  std::vector<Nanoseconds> latencies_;  // of the answers in the window
  Nanoseconds first_ = 0;
  Nanoseconds last_ = 0;
  std::map<std::string, std::size_t> failures_;
};
