#include "flow.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>

namespace {

constexpr double kNanosecondsPerSecond = 1e9;

double PercentileUs(const std::vector<Nanoseconds>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return static_cast<double>(sorted[at]) / 1e3;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

Nanoseconds Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * Nanoseconds{1'000'000'000} + now.tv_nsec;
}

Flow::Flow(FlowOptions options, Nanoseconds window_start)
    : options_(std::move(options)),
      window_start_(window_start),
      due_(Now()),
      gap_s_(options_.rate_per_s > 0 ? options_.rate_per_s : 1) {
  latencies_.reserve(1 << 20);
}

void Flow::Arrived() { due_ += static_cast<Nanoseconds>(gap_s_(random_) * kNanosecondsPerSecond); }

std::size_t Flow::NextBody() {
  ++started;
  return next_body_++ % options_.bodies.size();
}

void Flow::Answered(std::size_t body, Nanoseconds since, std::size_t answer_bytes) {
  ++finished;
  const Nanoseconds now = Now();
  const std::size_t expected = options_.bodies[body].answer_bytes;
  if (answer_bytes != expected)
    ++failures_["an answer of " + std::to_string(answer_bytes) + " bytes instead of " + std::to_string(expected)];
  if (now < window_start_ || closed_) return;
  if (first_ == 0) first_ = now;
  last_ = now;
  latencies_.push_back(now - since);
}

void Flow::Failed(const std::string& why) {
  ++finished;
  ++failures_[why];
}

std::string Flow::Report() const {
  std::vector<Nanoseconds> sorted = latencies_;
  std::sort(sorted.begin(), sorted.end());
  // From answer to answer, so that a call which the window cuts does not count in part.
  const double span_s = static_cast<double>(last_ - first_) / kNanosecondsPerSecond;
  const double per_second = span_s > 0 ? static_cast<double>(sorted.size() - 1) / span_s : 0;
  char figures[512];
  std::snprintf(figures, sizeof figures,
                "{\"name\": %s, \"started\": %zu, \"finished\": %zu, \"measured\": %zu, \"per_second\": %.3f, "
                "\"p50_us\": %.3f, \"p90_us\": %.3f, \"p99_us\": %.3f, \"most_us\": %.3f, \"failures\": {",
                Quoted(options_.name).c_str(), started, finished, sorted.size(), per_second, PercentileUs(sorted, 0.5),
                PercentileUs(sorted, 0.9), PercentileUs(sorted, 0.99), PercentileUs(sorted, 1));
  std::string out = figures;
  for (const auto& [why, count] : failures_)
    out += (out.back() == '{' ? "" : ", ") + Quoted(why) + ": " + std::to_string(count);
  return out + "}}";
}
