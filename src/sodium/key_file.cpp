// SPDX-License-Identifier: MIT
#include "sodium/key_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.hpp"

namespace peer_relay {

namespace {

constexpr std::string_view pem_begin = "-----BEGIN PRIVATE KEY-----";
constexpr std::string_view pem_end = "-----END PRIVATE KEY-----";

// SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING, 32 bytes } }
constexpr std::array<std::uint8_t, 16> der_prefix{0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                  0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
using Der = std::array<std::uint8_t, der_prefix.size() + std::tuple_size_v<SigningSeed>>;
constexpr std::size_t base64_chars = sizeof(Der) / 3 * 4;

constexpr std::size_t file_bytes_max = 1024;  // the form has 119 bytes, and three more with CRLF

/// A file that is open, closed when its scope ends.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&&) = delete;
  ~File() {
    if (is_open()) ::close(descriptor_);
  }

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// The next line without its end, be it LF, CRLF or the end of the text.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Error: file_unreadable. `file` is a regular one, or it would not end.
Result<std::string> read_all(const File& file) {
  struct stat status;
  if (::fstat(file.descriptor(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::unexpected(Error::file_unreadable);
  }
  std::string text(file_bytes_max, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(file.descriptor(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(Error::file_unreadable);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

bool write_all(const File& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file.descriptor(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// The key in a file, or nothing where no file is.
Result<std::optional<SigningSeed>> load(const std::filesystem::path& path) {
  // non-blocking, as the name may be that of a pipe
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file.is_open()) {
    if (errno == ENOENT) return std::nullopt;
    return std::unexpected(Error::file_unreadable);
  }
  Result<std::string> text = read_all(file);
  if (!text) return std::unexpected(text.error());
  const Result<SigningSeed> seed = read_key_pem(*text);
  sodium_memzero(text->data(), text->size());
  if (!seed) return std::unexpected(seed.error());
  return *seed;
}

/// Makes a new name outlive a crash of the machine, where the file system lets us.
void flush_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  const File directory{
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.is_open()) ::fsync(directory.descriptor());
}

/// Whether the file was made, with `text` in it. False, too, where another took the name meanwhile.
bool create(const std::filesystem::path& path, std::string_view text) {
  std::string temporary = path.string() + ".XXXXXX";
  const File file{::mkostemp(temporary.data(), O_CLOEXEC)};  // O_EXCL and mode 0600
  if (!file.is_open()) return false;
  // a link, unlike a rename, does not replace what is there
  const bool created = write_all(file, text) && ::fsync(file.descriptor()) == 0 &&
                       ::link(temporary.c_str(), path.c_str()) == 0;
  ::unlink(temporary.c_str());
  if (created) flush_directory_of(path);
  return created;
}

}  // namespace

Result<SigningSeed> read_key_pem(std::string_view text) {
  const std::string_view begin = take_line(text);
  const std::string_view base64 = take_line(text);
  const std::string_view end = take_line(text);
  if (begin != pem_begin || base64.size() != base64_chars || end != pem_end || !text.empty()) {
    return std::unexpected(Error::key_invalid);
  }
  Der der;
  SigningSeed seed;
  std::size_t der_bytes = 0;
  const bool ok = sodium_base642bin(der.data(), der.size(), base64.data(), base64.size(), nullptr,
                                    &der_bytes, nullptr, sodium_base64_VARIANT_ORIGINAL) == 0 &&
                  der_bytes == der.size() &&
                  std::equal(der_prefix.begin(), der_prefix.end(), der.begin());
  std::copy(der.begin() + der_prefix.size(), der.end(), seed.begin());
  sodium_memzero(der.data(), der.size());
  if (!ok) return std::unexpected(Error::key_invalid);
  return seed;
}

std::string write_key_pem(const SigningSeed& seed) {
  Der der;
  std::ranges::copy(seed, std::ranges::copy(der_prefix, der.begin()).out);
  std::array<char, base64_chars + 1> base64;
  sodium_bin2base64(base64.data(), base64.size(), der.data(), der.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  std::string text;
  text.reserve(pem_begin.size() + base64_chars + pem_end.size() + 3);
  text.append(pem_begin).append("\n").append(base64.data()).append("\n").append(pem_end);
  text.append("\n");
  sodium_memzero(der.data(), der.size());
  sodium_memzero(base64.data(), base64.size());
  return text;
}

Result<SigningSeed> load_or_create_key_file(const std::filesystem::path& path, Crypto& crypto) {
  const auto there = load(path);
  if (!there) return std::unexpected(there.error());
  if (*there) return **there;

  SigningSeed seed;
  crypto.random(seed);
  std::string text = write_key_pem(seed);
  const bool created = create(path, text);
  sodium_memzero(text.data(), text.size());
  if (created) return seed;

  crypto.wipe(seed);
  const auto rival = load(path);
  if (!rival) return std::unexpected(rival.error());
  if (!*rival) return std::unexpected(Error::file_unwritable);
  return **rival;
}

}  // namespace peer_relay
