// SPDX-License-Identifier: MIT
#include "sodium/key_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/crypto/identity.hpp"
#include "sodium/deterministic_crypto.hpp"
#include "sodium/testing.hpp"

namespace peer_relay {
namespace {

namespace fs = std::filesystem;
using testing::hex;
using testing::unhex_array;

/// What `openssl genpkey -algorithm ed25519` writes for the seed of RFC 8032 §7.1, test 1.
const SigningSeed seed =
    unhex_array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
constexpr std::string_view public_key =
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
constexpr std::string_view pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

const Result<SigningSeed> invalid = std::unexpected(Error::key_invalid);
const Result<SigningSeed> unreadable = std::unexpected(Error::file_unreadable);
const Result<SigningSeed> unwritable = std::unexpected(Error::file_unwritable);

TEST(KeyPem, IsWrittenAsOpensslDoes) { EXPECT_EQ(write_key_pem(seed), pem); }

TEST(KeyPem, IsReadBack) {
  EXPECT_EQ(read_key_pem(pem), seed);
  DeterministicCrypto crypto{1};
  for (int i = 0; i < 100; ++i) {
    SigningSeed drawn;
    crypto.random(drawn);
    EXPECT_EQ(read_key_pem(write_key_pem(drawn)), drawn);
  }
}

TEST(KeyPem, IsReadWithAnyEndOfLine) {
  const std::string crlf = replaced(std::string{pem}, "\n", "\r\n");
  EXPECT_EQ(read_key_pem(crlf), seed);
  EXPECT_EQ(read_key_pem(std::string_view{crlf}.substr(0, crlf.size() - 2)), seed);
  EXPECT_EQ(read_key_pem(pem.substr(0, pem.size() - 1)), seed);
}

TEST(KeyPem, IsRefusedInAnyOtherForm) {
  const std::string text{pem};
  EXPECT_EQ(read_key_pem(""), invalid);
  EXPECT_EQ(read_key_pem("\n\n\n"), invalid);
  EXPECT_EQ(read_key_pem(" " + text), invalid);
  EXPECT_EQ(read_key_pem("\n" + text), invalid);
  EXPECT_EQ(read_key_pem(text + "\n"), invalid);
  EXPECT_EQ(read_key_pem(text + text), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "PRIVATE", "PUBLIC")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "END", "BEGIN")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "\n", "")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "\n", "\r")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "BEGIN PRIVATE", "BEGIN EC PRIVATE")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "MC4CAQAw", "MC4CAQAw\n")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "rn9g", "rn9")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "rn9g", "rn9gAAAA")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "rn9g", "rn8=")), invalid);
  EXPECT_EQ(read_key_pem(replaced(text, "/", "_")), invalid) << "the alphabet of URLs";
}

TEST(KeyPem, IsRefusedWithAnyOtherPrefix) {  // of another algorithm, version or length
  const std::string text{pem};
  const std::size_t base64 = text.find("MC4C");
  for (std::size_t at = 0; at < 20; ++at) {
    std::string changed = text;
    changed[base64 + at] = changed[base64 + at] == 'B' ? 'C' : 'B';
    EXPECT_EQ(read_key_pem(changed), invalid) << at;
  }
}

TEST(KeyPem, IsRefusedWhereverItWasCut) {
  for (std::size_t size = 0; size < pem.size() - 1; ++size) {
    EXPECT_EQ(read_key_pem(pem.substr(0, size)), invalid) << size;
  }
}

/// A directory of its own for each test.
class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "key_file_test.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path path(std::string_view name = "key.pem") const { return directory_ / name; }

  void write(std::string_view text, std::string_view name = "key.pem") const {
    std::ofstream{path(name), std::ios::binary} << text;
  }

  std::string read(std::string_view name = "key.pem") const {
    std::ifstream file{path(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator{directory_}) {
      out.insert(entry.path().filename().string());
    }
    return out;
  }

  /// Whether a command of the shell went well, in the directory of the test.
  bool runs(const std::string& command) const {
    return std::system(("cd '" + directory_.string() + "' && " + command).c_str()) == 0;
  }

  DeterministicCrypto crypto_{1};

 private:
  fs::path directory_;
};

TEST_F(KeyFile, IsMadeOnceAndReadFromThenOn) {
  const auto made = load_or_create_key_file(path(), crypto_);
  ASSERT_TRUE(made);
  EXPECT_EQ(read(), write_key_pem(*made));
  EXPECT_EQ(names(), std::set<std::string>{"key.pem"}) << "nothing temporary stays";
  EXPECT_EQ(load_or_create_key_file(path(), crypto_), made);
}

TEST_F(KeyFile, IsForItsOwnerAlone) {
  const ::mode_t before = ::umask(0);
  ASSERT_TRUE(load_or_create_key_file(path(), crypto_));
  ::umask(before);
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(KeyFile, IsReadAsItIs) {
  write(pem);
  EXPECT_EQ(load_or_create_key_file(path(), crypto_), seed);
  EXPECT_EQ(read(), pem);
}

TEST_F(KeyFile, IsRefusedAndLeftAloneWhereItHoldsNoKey) {
  const std::string long_text(5000, 'x');
  for (const std::string& text :
       {std::string{}, std::string{"not a key"}, long_text, std::string{pem} + long_text}) {
    write(text);
    EXPECT_EQ(load_or_create_key_file(path(), crypto_), invalid);
    EXPECT_EQ(read(), text);
  }
}

TEST_F(KeyFile, IsUnreadableWhereItIsNoFile) {
  EXPECT_EQ(load_or_create_key_file(path("."), crypto_), unreadable);
  write("a file", "file");
  EXPECT_EQ(load_or_create_key_file(path("file") / "key.pem", crypto_), unreadable);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(load_or_create_key_file(path("pipe"), crypto_), unreadable);
}

TEST_F(KeyFile, IsUnwritableWhereNoFileCanBe) {
  EXPECT_EQ(load_or_create_key_file(path("nowhere") / "key.pem", crypto_), unwritable);
  fs::create_symlink("nowhere/key.pem", path("dangling"));
  EXPECT_EQ(load_or_create_key_file(path("dangling"), crypto_), unwritable);
  EXPECT_EQ(load_or_create_key_file("", crypto_), unwritable);
  EXPECT_EQ(names(), std::set<std::string>{"dangling"});
}

TEST_F(KeyFile, IsTheSameForAllWhoMakeItAtOnce) {
  constexpr std::size_t count = 8;
  std::vector<Result<SigningSeed>> seeds(count, invalid);
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&seeds, i, this] {
        SodiumCrypto crypto;
        seeds[i] = load_or_create_key_file(path(), crypto);
      });
    }
  }
  ASSERT_TRUE(seeds[0]);
  EXPECT_EQ(std::ranges::count(seeds, seeds[0]), static_cast<std::ptrdiff_t>(count));
  EXPECT_EQ(names(), std::set<std::string>{"key.pem"});
}

TEST_F(KeyFile, IsReadAfterOpensslWroteIt) {
  if (!runs("openssl version >/dev/null 2>&1")) GTEST_SKIP() << "There is no openssl here.";
  ASSERT_TRUE(runs("openssl genpkey -algorithm ed25519 -out key.pem 2>/dev/null"));
  const auto loaded = load_or_create_key_file(path(), crypto_);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(write_key_pem(*loaded), read());

  ASSERT_TRUE(runs("openssl pkey -in key.pem -pubout -outform DER | tail -c 32 >public"));
  const PublicKey expected = identity_from_seed(*loaded, crypto_).keys.public_key;
  EXPECT_EQ(hex(as_bytes(read("public"))), hex(expected));
}

TEST_F(KeyFile, IsReadByOpensslAfterWeWroteIt) {
  if (!runs("openssl version >/dev/null 2>&1")) GTEST_SKIP() << "There is no openssl here.";
  write(write_key_pem(seed));
  ASSERT_TRUE(runs("openssl pkey -in key.pem -out again.pem"));
  EXPECT_EQ(read("again.pem"), pem);
  ASSERT_TRUE(runs("openssl pkey -in key.pem -pubout -outform DER | tail -c 32 >public"));
  EXPECT_EQ(hex(as_bytes(read("public"))), public_key);
}

}  // namespace
}  // namespace peer_relay
