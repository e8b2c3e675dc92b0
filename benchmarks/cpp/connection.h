// One HTTP/2 connection that carries calls of one flow.
#pragma once

#include <nghttp2/nghttp2.h>

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "flow.h"
#include "output.h"

class Connection {
 public:
  // Connects to a port of this host, or throws std::runtime_error.
  Connection(Flow& flow, int port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const { return socket_; }
  Flow& flow() { return flow_; }
  bool idle() const { return waiting_ == 0 && calls_.empty(); }
  bool broken() const { return broken_; }

  // Sends the next message of the flow. Its latency counts from `since`.
  void Send(Nanoseconds since);
  // No more messages: the stream, if there is one, is closed on this side.
  void End();
  // Closed loop: each answer is followed by the next message until this is set.
  bool go_on = false;
  // Kept for the loop: is epoll told to say when the socket can be written?
  bool waits_for_room = false;

  // Reads what has come, calls the flow for each answer.
  void Read();
  // Writes what waits. True when the socket takes no more now and something is left.
  bool Write();

 private:
  struct Message {
    std::size_t body;
    Nanoseconds since;
  };
  struct Call {
    std::deque<Message> unsent;
    std::size_t sent_bytes = 0;  // of the first one that is unsent
    std::deque<Message> unanswered;
    bool closed_here = false;
    std::string status;  // grpc-status
    std::string status_text;
    std::string http_status;
    unsigned char head[5];
    std::size_t head_bytes = 0;
    std::size_t message_bytes = 0;  // of the answer that is coming
    std::size_t left_bytes = 0;
    std::vector<std::size_t> answers;  // their sizes, unary: they count when the status has come
  };

  Call& Open();
  void Take(Call& call, const std::uint8_t* data, std::size_t size);
  void AnswerComplete(Call& call);
  void Close(std::int32_t stream, std::uint32_t error);
  void Break(const std::string& why);
  static nghttp2_session_callbacks* Callbacks();

  static ssize_t ReadBody(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t, std::uint32_t*,
                          nghttp2_data_source*, void*);
  static int SendData(nghttp2_session*, nghttp2_frame*, const std::uint8_t*, std::size_t, nghttp2_data_source*, void*);

  Flow& flow_;
  int socket_;
  std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, Call> calls_;
  std::int32_t stream_ = -1;  // the one of a streaming flow
  std::size_t waiting_ = 0;   // messages without an answer
  bool broken_ = false;
  Output output_;
};
