// SPDX-License-Identifier: MIT
#include "runtime/state_dir.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/mailbox.hpp"

namespace peer_relay {
namespace {

class StateDirTest : public ::testing::Test {
 protected:
  StateDirTest() {
    std::string name = (std::filesystem::temp_directory_path() / "peer-relay-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    root = name;
  }
  ~StateDirTest() override { std::filesystem::remove_all(root); }

  void write(std::string_view text) const {
    std::ofstream{root / "peers.cache", std::ios::binary} << text;
  }

  std::filesystem::path root;
};

TEST_F(StateDirTest, GivesBackTheContactsThatWereKept) {
  const auto dir = StateDir::open(root / "a" / "b").value();
  EXPECT_TRUE(dir->read_cache().contacts.empty());
  const std::vector<Bytes> contacts{{1, 2, 255}, Bytes(512, 7)};
  ASSERT_TRUE(dir->write_cache(contacts));
  EXPECT_EQ(dir->read_cache().contacts, contacts);
  ASSERT_TRUE(dir->write_cache({}));
  EXPECT_TRUE(dir->read_cache().contacts.empty());
}

TEST_F(StateDirTest, SkipsLinesThatAreNoContacts) {
  const auto dir = StateDir::open(root).value();
  write("peer-relay contacts 1\n01\nxy\n\n012\n " + std::string(2000, 'f') + "\r\nFFee\n0x\n02");
  const StateDir::Cache cache = dir->read_cache();
  EXPECT_EQ(cache.contacts, (std::vector<Bytes>{{1}, {0xff, 0xee}, {2}}));
  EXPECT_EQ(cache.unreadable, 5u);
  write("another file\n01\n");
  EXPECT_TRUE(dir->read_cache().contacts.empty());
  write("");
  EXPECT_TRUE(dir->read_cache().contacts.empty());
}

TEST_F(StateDirTest, ReadsNoMoreThanItKeeps) {
  const auto dir = StateDir::open(root).value();
  std::string text = "peer-relay contacts 1\n";
  for (int i = 0; i < 1000; ++i) text += "0102\n";
  write(text);
  EXPECT_EQ(dir->read_cache().contacts.size(), limits::peer_cache_max);
}

TEST_F(StateDirTest, SaysThatItCannotWrite) {
  const auto dir = StateDir::open(root).value();
  std::filesystem::create_directories(root / "peers.cache" / "in the way");
  EXPECT_FALSE(dir->write_cache({{1}}));
  EXPECT_EQ(StateDir::open("/proc/nowhere").error().error, Error::file_unwritable);
  std::ofstream{root / "file"} << "x";
  EXPECT_EQ(StateDir::open(root / "file").error().error, Error::file_unwritable);
}

TEST_F(StateDirTest, BelongsToOneAtATime) {
  {
    const auto dir = StateDir::open(root);
    ASSERT_TRUE(dir);
    EXPECT_EQ(StateDir::open(root).error().error, Error::state_in_use);
  }
  EXPECT_TRUE(StateDir::open(root));
}

TEST(Mailbox, TellsTheFirstOfEachRoundAndRefusesTheOneTooMany) {
  Mailbox mailbox;
  std::vector<Order> orders;
  EXPECT_EQ(mailbox.put_message(SendOrder{}, 1), Mailbox::Put::first);
  EXPECT_EQ(mailbox.put_call([] {}), Mailbox::Put::queued);
  mailbox.take(orders);
  EXPECT_EQ(orders.size(), 2u);
  EXPECT_EQ(mailbox.put_call([] {}), Mailbox::Put::first);
  EXPECT_EQ(mailbox.put_message(SendOrder{}, Mailbox::bytes_max), Mailbox::Put::queued);
  EXPECT_EQ(mailbox.put_message(SendOrder{}, 1), Mailbox::Put::refused);
  EXPECT_EQ(mailbox.put_call([] {}), Mailbox::Put::queued);
  mailbox.take(orders);
  EXPECT_EQ(orders.size(), 3u);
  for (std::size_t i = 0; i < Mailbox::messages_max; ++i) {
    ASSERT_NE(mailbox.put_message(SendOrder{}, 0), Mailbox::Put::refused);
  }
  EXPECT_EQ(mailbox.put_message(SendOrder{}, 0), Mailbox::Put::refused);
}

}  // namespace
}  // namespace peer_relay
