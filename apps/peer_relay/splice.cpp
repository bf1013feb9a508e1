// SPDX-License-Identifier: MIT
#include "splice.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace peer_relay::app {
namespace {

constexpr std::size_t read_bytes = 64 << 10;

/// So many reads may be on their way to the node's thread; more would gain nothing.
constexpr int writes_max = 4;

/// What a pipe takes without blocking when poll(2) says that it can be written.
constexpr std::size_t pipe_bytes = 4096;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

bool is_regular_file(int fd) {
  struct stat about{};
  return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

bool is_writable_now(int fd) {
  pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
  return poll(&one, 1, 0) > 0;
}

}  // namespace

Splice::Splice(Loop& loop, Stream stream, Ends ends, Ended ended)
    : loop_{loop},
      stream_{std::move(stream)},
      ends_{ends},
      out_may_block_{!ends.is_socket && !is_regular_file(ends.out)},
      ended_{std::move(ended)} {}

Splice::~Splice() {
  if (ends_.in >= 0) loop_.unwatch(ends_.in);
  if (ends_.out >= 0) loop_.unwatch(ends_.out);
  if (!ends_.is_socket) return;
  if (ends_.in >= 0) close(ends_.in);
  if (ends_.out >= 0) close(ends_.out);
}

// What the node's thread tells is done in the loop, if this is still there then.
void Splice::start() {
  StreamEvents events;
  events.closed = [self = weak_from_this(), &loop = loop_](const StreamError& error) {
    loop.post([self, error] {
      if (const auto splice = self.lock()) splice->closed(error);
    });
  };
  stream_.on(std::move(events));
  if (ends_.in >= 0) {
    watch_in();
  } else {
    say_finished();
  }
  ask();
}

void Splice::give_up() { stream_.reset(); }

void Splice::watch_in() {
  if (in_has_ended_ || closed_ || writes_ >= writes_max) return loop_.unwatch(ends_.in);
  loop_.watch(ends_.in, POLLIN, [this](short) { read_in(); });
}

void Splice::read_in() {
  Bytes bytes(read_bytes);
  const ssize_t count = read(ends_.in, bytes.data(), bytes.size());
  if (count < 0 && would_block()) return;
  if (count < 0) return stream_.reset();
  if (count == 0) return say_finished();
  bytes.resize(static_cast<std::size_t>(count));
  ++writes_;
  stream_.write(std::move(bytes), [self = weak_from_this(), &loop = loop_](StreamWritten written) {
    loop.post([self, written] {
      if (const auto splice = self.lock()) splice->taken(written);
    });
  });
  watch_in();
}

void Splice::say_finished() {
  in_has_ended_ = true;
  if (ends_.in >= 0) loop_.unwatch(ends_.in);
  stream_.finish();
}

void Splice::taken(const StreamWritten& written) {
  --writes_;
  if (!written) return;  // `closed` follows
  bytes_out_ += *written;
  watch_in();
}

void Splice::ask() {
  stream_.read(4 * read_bytes, [self = weak_from_this(), &loop = loop_](const StreamRead& read) {
    loop.post([self, read = std::make_shared<StreamRead>(read)] {
      if (const auto splice = self.lock()) splice->got(std::move(*read));
    });
  });
}

void Splice::got(StreamRead read) {
  if (!read) return;  // `closed` follows
  if (read->empty()) {
    return pass_on_end();
  }
  unwritten_ = std::move(*read);
  written_ = 0;
  flush();
}

// Whoever reads us sees it now, though the other way goes on.
void Splice::pass_on_end() {
  if (ends_.is_socket) {
    shutdown(ends_.out, SHUT_WR);
    return;
  }
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  dup2(nowhere, ends_.out);
  close(nowhere);
}

void Splice::flush() {
  while (written_ < unwritten_.size()) {
    if (out_may_block_ && !is_writable_now(ends_.out)) break;
    const std::size_t left = unwritten_.size() - written_;
    const ssize_t count = write(ends_.out, unwritten_.data() + written_,
                                out_may_block_ ? std::min(left, pipe_bytes) : left);
    if (count < 0 && would_block()) break;
    if (count < 0) {  // the reader is gone
      unwritten_.clear();
      written_ = 0;
      stream_.reset();
      return end_if_done();
    }
    written_ += static_cast<std::size_t>(count);
    bytes_in_ += static_cast<std::uint64_t>(count);
  }
  if (written_ < unwritten_.size()) {
    return loop_.watch(ends_.out, POLLOUT, [this](short) { flush(); });
  }
  loop_.unwatch(ends_.out);
  unwritten_.clear();
  written_ = 0;
  if (closed_) return end_if_done();
  ask();
}

void Splice::closed(const StreamError& error) {
  closed_ = error;
  if (ends_.in >= 0) loop_.unwatch(ends_.in);
  end_if_done();
}

void Splice::end_if_done() {
  if (!closed_ || !unwritten_.empty() || !ended_) return;
  const bool is_well = closed_->end == StreamEnd::finished;
  // Not from in here: who hears it will let go of us.
  loop_.post([ended = std::exchange(ended_, {}), error = is_well ? std::nullopt : closed_] {
    ended(error);
  });
}

}  // namespace peer_relay::app
