// SPDX-License-Identifier: MIT
#include "runtime/state_dir.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace peer_relay {

namespace {

constexpr std::string_view cache_header = "peer-relay contacts 1";

std::unexpected<StartError> refuse(Error error, std::string detail) {
  return std::unexpected(StartError{error, std::move(detail)});
}

void append_hex(BytesView bytes, std::string& out) {
  for (const std::uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
}

std::optional<Bytes> bytes_from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes out;
  for (; !text.empty(); text.remove_prefix(2)) {
    std::uint8_t byte = 0;
    const std::string_view digits = text.substr(0, 2);
    const char* const end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, byte, 16).ptr != end) return std::nullopt;
    out.push_back(byte);
  }
  return out;
}

/// mkdir -p, for the owner alone where it is new.
std::error_code make_directories(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  if (path.has_parent_path() && path.parent_path() != path) {
    if (const std::error_code above = make_directories(path.parent_path())) return above;
  }
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return {errno, std::generic_category()};
}

/// A file that is closed by close() or, if it comes to nothing, by going.
class File {
 public:
  File(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags, 0600)) {}
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool sync() { return ::fsync(fd_) == 0; }
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

}  // namespace

Result<std::unique_ptr<StateDir>, StartError> StateDir::open(std::filesystem::path path) {
  if (const std::error_code error = make_directories(path)) {
    return refuse(Error::file_unwritable, fmt::format("cannot make the state directory '{}': {}",
                                                      path.string(), error.message()));
  }
  const std::filesystem::path lock_file = path / "lock";
  const int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return refuse(Error::file_unwritable,
                  fmt::format("cannot write in the state directory '{}': {}", path.string(),
                              std::strerror(errno)));
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return refuse(Error::state_in_use,
                  fmt::format("another node runs on the state directory '{}': stop it, or choose "
                              "another directory",
                              path.string()));
  }
  return std::unique_ptr<StateDir>(new StateDir(std::move(path), lock));
}

StateDir::StateDir(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

StateDir::~StateDir() { ::close(lock_); }

StateDir::Cache StateDir::read_cache() const {
  Cache out;
  std::ifstream file{path_ / "peers.cache"};
  std::string line;
  if (!std::getline(file, line) || line != cache_header) return out;
  while (out.contacts.size() < limits::peer_cache_max && std::getline(file, line)) {
    auto record = bytes_from_hex(line);
    if (!record || record->empty() || record->size() > limits::contact_bytes_max) {
      ++out.unreadable;
    } else {
      out.contacts.push_back(std::move(*record));
    }
  }
  return out;
}

bool StateDir::write_cache(const std::vector<Bytes>& contacts) const {
  std::string text{cache_header};
  text += '\n';
  for (const Bytes& record : contacts) {
    append_hex(record, text);
    text += '\n';
  }

  const std::filesystem::path next = path_ / "peers.cache.new";
  File file{next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC};
  if (!file.is_open() || !file.write(text) || !file.sync() || !file.close()) return false;
  if (::rename(next.c_str(), (path_ / "peers.cache").c_str()) != 0) return false;
  // The rename itself; where a file system can't do that, the old cache may come back.
  File directory{path_, O_RDONLY | O_DIRECTORY | O_CLOEXEC};
  if (directory.is_open()) directory.sync();
  return true;
}

}  // namespace peer_relay
