// What waits to be written to a socket: small pieces are copied and joined, large ones stay where they are.
#pragma once

#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

class Output {
 public:
  std::size_t size() const { return size_; }

  // The memory may be used again as soon as this returns.
  void Copy(const std::uint8_t* data, std::size_t size) {
    if (pieces_.empty() || pieces_.back().outside) pieces_.push_back({nullptr, small_.size(), 0});
    small_.append(reinterpret_cast<const char*>(data), size);
    pieces_.back().size += size;
    size_ += size;
  }

  // The memory must stay as it is until it has been written.
  void Refer(const char* data, std::size_t size) {
    if (size < kWorthReferring) return Copy(reinterpret_cast<const std::uint8_t*>(data), size);
    pieces_.push_back({data, 0, size});
    size_ += size;
  }

  // Writes what the socket takes now, at most `limit` bytes. False when the connection is broken.
  bool Write(int socket, std::size_t limit) {
    while (size_ > 0 && limit > 0) {
      iovec vectors[kMostVectors];
      int count = 0;
      std::size_t offered = 0;
      for (auto piece = pieces_.begin(); piece != pieces_.end() && count < kMostVectors && offered < limit; ++piece) {
        const char* data = piece->outside ? piece->outside : small_.data() + piece->offset;
        vectors[count++] = {const_cast<char*>(data), piece->size};
        offered += piece->size;
      }
      const ssize_t written = writev(socket, vectors, count);
      if (written < 0) return errno == EAGAIN || errno == EINTR;
      Drop(static_cast<std::size_t>(written));
      if (static_cast<std::size_t>(written) < offered) return true;
      limit -= written < static_cast<ssize_t>(limit) ? static_cast<std::size_t>(written) : limit;
    }
    return true;
  }

 private:
  struct Piece {
    const char* outside;  // null: in small_, from offset on
    std::size_t offset;
    std::size_t size;
  };

  void Drop(std::size_t written) {
    size_ -= written;
    while (written > 0) {
      Piece& first = pieces_.front();
      if (written < first.size) {
        if (first.outside)
          first.outside += written;
        else
          first.offset += written;
        first.size -= written;
        return;
      }
      written -= first.size;
      pieces_.pop_front();
    }
    if (pieces_.empty()) small_.clear();
  }

  static constexpr int kMostVectors = 64;
  static constexpr std::size_t kWorthReferring = 2048;

  std::deque<Piece> pieces_;
  std::string small_;
  std::size_t size_ = 0;
};
