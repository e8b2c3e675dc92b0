// The load generator: gRPC calls with prepared bodies, as fast as answers come (closed loop) or at a rate (open loop).
//
//   load PORT --seconds S [--warm-up S] --flow NAME [--path P] [--connections C] [--in-flight M] [--rate R] [--stream]
//        --body FILE ANSWER_BYTES … [--flow NAME …]
//
// One thread that waits in epoll: it costs a few microseconds for a call, so that a core of its own is enough to
// saturate any server here. It makes no message and parses none. A call counts when its HTTP status is 200, its
// grpc-status 0 and its answer as long as it must be; all else is reported as a failure with its reason.
// Prints one JSON object.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "connection.h"
#include "flow.h"

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kPatience = 30 * kSecond;  // the window is longer where answers take so long that few come
constexpr Nanoseconds kDrain = 30 * kSecond;
constexpr std::size_t kHopelesslyBehind = 50'000;  // open loop: calls without an answer

struct Options {
  int port = 0;
  double seconds = 1;
  double warm_up_s = 0;
  std::vector<FlowOptions> flows;
};

std::string ReadBodyFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  const std::string message{std::istreambuf_iterator<char>(file), {}};
  std::string framed(5, '\0');
  for (int i = 0; i < 4; ++i) framed[1 + i] = static_cast<char>(message.size() >> (24 - 8 * i));
  return framed + message;
}

Options Parse(const std::vector<std::string>& words) {
  Options options;
  std::size_t at = 0;
  const auto next = [&]() -> const std::string& {
    if (at >= words.size()) throw std::runtime_error("a value is missing after " + words.back());
    return words[at++];
  };
  options.port = std::stoi(next());
  while (at < words.size()) {
    const std::string word = next();
    if (word == "--seconds") options.seconds = std::stod(next());
    else if (word == "--warm-up") options.warm_up_s = std::stod(next());
    else if (word == "--flow") options.flows.emplace_back().name = next();
    else if (options.flows.empty()) throw std::runtime_error(word + " before --flow");
    else if (FlowOptions& flow = options.flows.back(); word == "--path") flow.path = next();
    else if (word == "--connections") flow.connections = std::stoi(next());
    else if (word == "--in-flight") flow.in_flight = std::stoi(next());
    else if (word == "--rate") flow.rate_per_s = std::stod(next());
    else if (word == "--stream") flow.stream = true;
    else if (word == "--body") {
      std::string request = ReadBodyFile(next());
      flow.bodies.push_back({std::move(request), std::stoul(next())});
    } else throw std::runtime_error("unknown: " + word);
  }
  for (const FlowOptions& flow : options.flows)
    if (flow.bodies.empty()) throw std::runtime_error("no --body for " + flow.name);
  return options;
}

class Load {
 public:
  explicit Load(const Options& options)
      : begin_(Now()),
        window_start_(begin_ + static_cast<Nanoseconds>(options.warm_up_s * kSecond)),
        end_(window_start_ + static_cast<Nanoseconds>(options.seconds * kSecond)),
        latest_(end_ + kPatience),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
    for (const FlowOptions& flow : options.flows) flows_.push_back(std::make_unique<Flow>(flow, window_start_));
    for (auto& flow : flows_)
      for (int i = 0; i < flow->options().connections; ++i) {
        connections_.push_back(std::make_unique<Connection>(*flow, options.port));
        Watch(connections_.back()->socket(), connections_.back().get(), EPOLL_CTL_ADD, false);
      }
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);
  }

  void Run() {
    for (auto& connection : connections_) {
      if (connection->flow().open_loop()) continue;
      connection->go_on = true;
      for (int i = 0; i < connection->flow().options().in_flight; ++i) connection->Send(Now());
    }
    while (!AllBroken() && (Now() < end_ || (Now() < latest_ && HasTooFew()))) {
      Step(NextDue());
      Arrivals();
    }
    for (auto& flow : flows_) flow->Close();
    for (auto& connection : connections_) connection->End();
    const Nanoseconds give_up = Now() + kDrain;
    while (Now() < give_up && !AllIdle()) Step(give_up);
    for (auto& flow : flows_)
      while (flow->finished < flow->started) flow->Failed("no answer");
  }

  void Report() const {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu_s = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    const double wall_s = static_cast<double>(Now() - begin_) / kSecond;
    std::printf("{\"cpu_s\": %.6f, \"wall_s\": %.6f, \"flows\": [", cpu_s, wall_s);
    for (std::size_t i = 0; i < flows_.size(); ++i) std::printf("%s%s", i ? ", " : "", flows_[i]->Report().c_str());
    std::printf("]}\n");
  }

 private:
  void Watch(int socket, Connection* connection, int operation, bool writable) {
    epoll_event event{.events = EPOLLIN | (writable ? EPOLLOUT : 0u), .data = {.ptr = connection}};
    epoll_ctl(epoll_, operation, socket, &event);
  }

  // Writes what waits, sleeps until something can be read or written or `until` has come, and reads.
  void Step(Nanoseconds until) {
    for (auto& connection : connections_) {
      const bool wants = connection->Write();
      if (wants == connection->waits_for_room) continue;
      connection->waits_for_room = wants;
      Watch(connection->socket(), connection.get(), EPOLL_CTL_MOD, wants);
    }
    if (until != armed_) {
      armed_ = until;
      const Nanoseconds at = std::max<Nanoseconds>(until, 1);  // 0 would disarm it
      const itimerspec when{{0, 0}, {at / kSecond, at % kSecond}};
      timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    }
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, std::size(events), -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[i].data.ptr);
      if (connection == nullptr) {
        std::uint64_t times;
        if (read(timer_, &times, sizeof times) < 0) continue;
        armed_ = 0;
      } else if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        connection->Read();
        if (connection->broken()) epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->socket(), nullptr);
      }
    }
  }

  Nanoseconds NextDue() const {
    Nanoseconds due = Now() < end_ ? end_ : latest_;
    for (const auto& flow : flows_)
      if (flow->open_loop()) due = std::min(due, flow->due());
    return due;
  }

  void Arrivals() {
    const Nanoseconds now = Now();
    for (auto& flow : flows_) {
      while (flow->open_loop() && flow->due() <= now) {
        if (flow->started - flow->finished > kHopelesslyBehind) throw std::runtime_error("the server falls behind");
        NextConnection(*flow).Send(flow->due());
        flow->Arrived();
      }
    }
  }

  Connection& NextConnection(const Flow& flow) {
    do turn_ = (turn_ + 1) % connections_.size();
    while (&connections_[turn_]->flow() != &flow);
    return *connections_[turn_];
  }

  bool HasTooFew() const {
    return std::any_of(flows_.begin(), flows_.end(), [](auto& each) { return each->has_too_few(); });
  }
  bool AllIdle() const {
    return std::all_of(connections_.begin(), connections_.end(), [](auto& each) { return each->idle(); });
  }
  bool AllBroken() const {
    return std::all_of(connections_.begin(), connections_.end(), [](auto& each) { return each->broken(); });
  }

  const Nanoseconds begin_;
  const Nanoseconds window_start_;
  const Nanoseconds end_;
  const Nanoseconds latest_;
  const int epoll_;
  const int timer_;
  Nanoseconds armed_ = 0;
  std::vector<std::unique_ptr<Flow>> flows_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t turn_ = 0;
};

}  // namespace

int main(int argc, char** argv) try {
  std::signal(SIGPIPE, SIG_IGN);
  Load load(Parse({argv + 1, argv + argc}));
  load.Run();
  load.Report();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "load: %s\n", error.what());
  return 1;
}
