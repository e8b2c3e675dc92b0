#include "connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace {

constexpr std::int32_t kLargestWindow = 0x7fffffff;
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kWriteBytes = 256 * 1024;  // at a time, so that large messages do not hold up small ones for long
constexpr std::size_t kHeadBytes = 5;            // of a gRPC message: compressed or not, and its length

nghttp2_nv Header(const char* name, const std::string& value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), std::strlen(name), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

int Connect(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("cannot connect to port " + std::to_string(port) + ": " + std::strerror(errno));
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(socket, F_SETFL, O_NONBLOCK);
  return socket;
}

}  // namespace

Connection::Connection(Flow& flow, int port)
    : flow_(flow), socket_(Connect(port)), authority_("127.0.0.1:" + std::to_string(port)) {
  nghttp2_session_callbacks* callbacks = Callbacks();
  nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  // Windows never hold up the server: it is to be measured, not our flow control.
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kLargestWindow}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kLargestWindow);
}

Connection::~Connection() {
  nghttp2_session_del(session_);
  close(socket_);
}

nghttp2_session_callbacks* Connection::Callbacks() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) {
        auto& calls = static_cast<Connection*>(self)->calls_;
        const auto call = calls.find(frame->hd.stream_id);
        if (call == calls.end()) return 0;
        const std::string_view key(reinterpret_cast<const char*>(name), name_size);
        std::string text(reinterpret_cast<const char*>(value), value_size);
        if (key == "grpc-status") call->second.status = std::move(text);
        else if (key == "grpc-message") call->second.status_text = std::move(text);
        else if (key == ":status") call->second.http_status = std::move(text);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data, std::size_t size,
                    void* self) {
        auto* connection = static_cast<Connection*>(self);
        const auto call = connection->calls_.find(stream);
        if (call != connection->calls_.end()) connection->Take(call->second, data, size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, std::int32_t stream, std::uint32_t error, void* self) {
        static_cast<Connection*>(self)->Close(stream, error);
        return 0;
      });
  return callbacks;
}

void Connection::Send(Nanoseconds since) {
  if (broken_) return;
  const Message message{flow_.NextBody(), since};
  ++waiting_;
  if (flow_.options().stream && stream_ >= 0) {
    calls_.at(stream_).unsent.push_back(message);
    nghttp2_session_resume_data(session_, stream_);
    return;
  }
  Call& call = Open();
  call.unsent.push_back(message);
  call.closed_here = !flow_.options().stream;
}

void Connection::End() {
  go_on = false;
  if (stream_ < 0 || broken_) return;
  calls_.at(stream_).closed_here = true;
  nghttp2_session_resume_data(session_, stream_);
}

Connection::Call& Connection::Open() {
  static const std::string kPost = "POST", kHttp = "http", kGrpc = "application/grpc", kTrailers = "trailers";
  const nghttp2_nv headers[] = {Header(":method", kPost),        Header(":scheme", kHttp),
                                Header(":path", flow_.options().path), Header(":authority", authority_),
                                Header("content-type", kGrpc),   Header("te", kTrailers)};
  nghttp2_data_provider body{};
  body.read_callback = ReadBody;
  const std::int32_t stream = nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &body, nullptr);
  if (stream < 0) throw std::runtime_error(nghttp2_strerror(stream));
  if (flow_.options().stream) stream_ = stream;
  return calls_[stream];
}

// Says how much of the body goes into the next frame; SendData then sends it from where it lies.
ssize_t Connection::ReadBody(nghttp2_session*, std::int32_t stream, std::uint8_t*, std::size_t size,
                             std::uint32_t* flags, nghttp2_data_source*, void* self) {
  auto* connection = static_cast<Connection*>(self);
  Call& call = connection->calls_.at(stream);
  if (call.unsent.empty()) {
    if (!call.closed_here) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return 0;
  }
  const std::size_t left = connection->flow_.options().bodies[call.unsent.front().body].request.size() - call.sent_bytes;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (call.closed_here && call.unsent.size() == 1 && left <= size) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(std::min(left, size));
}

int Connection::SendData(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head, std::size_t size,
                         nghttp2_data_source*, void* self) {
  constexpr std::size_t kFrameHeadBytes = 9;
  auto* connection = static_cast<Connection*>(self);
  Call& call = connection->calls_.at(frame->hd.stream_id);
  if (connection->output_.size() >= kWriteBytes) return NGHTTP2_ERR_WOULDBLOCK;
  const std::string& body = connection->flow_.options().bodies[call.unsent.front().body].request;
  connection->output_.Copy(head, kFrameHeadBytes);
  connection->output_.Refer(body.data() + call.sent_bytes, size);
  call.sent_bytes += size;
  if (call.sent_bytes == body.size()) {
    call.unanswered.push_back(call.unsent.front());
    call.unsent.pop_front();
    call.sent_bytes = 0;
  }
  return 0;
}

void Connection::Take(Call& call, const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    if (call.head_bytes < kHeadBytes) {
      call.head[call.head_bytes++] = *data++;
      --size;
      if (call.head_bytes < kHeadBytes) continue;
      std::uint32_t length;
      std::memcpy(&length, call.head + 1, sizeof length);
      call.message_bytes = call.left_bytes = ntohl(length);
    } else {
      const std::size_t taken = std::min(size, call.left_bytes);
      data += taken;
      size -= taken;
      call.left_bytes -= taken;
    }
    if (call.left_bytes == 0) AnswerComplete(call);
  }
}

void Connection::AnswerComplete(Call& call) {
  call.head_bytes = 0;
  if (!flow_.options().stream) return call.answers.push_back(call.message_bytes);
  if (call.unanswered.empty()) return flow_.Failed("more answers than requests");
  const Message message = call.unanswered.front();
  call.unanswered.pop_front();
  --waiting_;
  flow_.Answered(message.body, message.since, call.message_bytes);
  if (go_on) Send(Now());
}

void Connection::Close(std::int32_t stream, std::uint32_t error) {
  const auto found = calls_.find(stream);
  if (found == calls_.end()) return;
  const Call call = std::move(found->second);
  calls_.erase(found);
  if (stream == stream_) stream_ = -1;
  const std::size_t lost = call.unanswered.size() + call.unsent.size();
  waiting_ -= lost;
  std::string why;
  if (error != NGHTTP2_NO_ERROR && call.status.empty()) why = nghttp2_http2_strerror(error);
  else if (call.http_status != "200") why = "HTTP status " + call.http_status;
  else if (call.status != "0") why = "grpc-status " + call.status + " " + call.status_text;
  if (flow_.options().stream) {
    if (why.empty() && lost > 0) why = "a stream that ended before its last answer";
    for (std::size_t i = 0; i < std::max<std::size_t>(lost, why.empty() ? 0 : 1); ++i) flow_.Failed(why);
    return;
  }
  if (why.empty() && (call.answers.size() != 1 || lost != 1)) why = "an answer without a message";
  if (!why.empty())
    flow_.Failed(why);
  else
    flow_.Answered(call.unanswered.front().body, call.unanswered.front().since, call.answers.front());
  if (go_on) Send(Now());
}

void Connection::Break(const std::string& why) {
  if (broken_) return;
  broken_ = true;
  for (std::size_t i = 0; i < waiting_; ++i) flow_.Failed(why);
  waiting_ = 0;
  calls_.clear();
}

void Connection::Read() {
  static std::vector<std::uint8_t> buffer(kReadBytes);
  if (broken_) return;
  const ssize_t size = read(socket_, buffer.data(), buffer.size());
  if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return Break("the connection was closed");
  if (size > 0 && nghttp2_session_mem_recv(session_, buffer.data(), static_cast<std::size_t>(size)) < 0)
    Break("the answer is not HTTP/2");
}

bool Connection::Write() {
  if (broken_) return false;
  while (output_.size() < kWriteBytes) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      Break(nghttp2_strerror(static_cast<int>(size)));
      return false;
    }
    if (size == 0) break;
    output_.Copy(data, static_cast<std::size_t>(size));
  }
  if (!output_.Write(socket_, kWriteBytes)) Break("the connection was closed");
  return !broken_ && (output_.size() > 0 || nghttp2_session_want_write(session_) != 0);
}
