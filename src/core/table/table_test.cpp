// SPDX-License-Identifier: MIT
#include "core/table/table.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"

namespace peer_relay {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

/// An id that shares exactly `bits` leading bits with another.
NodeId beside(const NodeId& other, int bits, Random& random) {
  NodeId id = random.id();
  for (int bit = 0; bit <= bits && bit < id_bits; ++bit) {
    const auto byte = static_cast<std::size_t>(bit / 8);
    const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
    const bool value = other.bit(bit) != (bit == bits);
    id.bytes[byte] =
        static_cast<std::uint8_t>(value ? id.bytes[byte] | mask : id.bytes[byte] & ~mask);
  }
  return id;
}

/// Uniform ids, and clusters within clusters, as an adversary or a small network has them.
std::vector<NodeId> clustered_ids(std::size_t count, Random& random) {
  std::vector<NodeId> ids;
  while (ids.size() < count) {
    const bool is_uniform = ids.empty() || random.below(3) == 0;
    ids.push_back(is_uniform ? random.id()
                             : beside(ids[random.below(ids.size())],
                                      static_cast<int>(random.below(id_bits)), random));
  }
  std::ranges::sort(ids);
  const auto repeated = std::ranges::unique(ids);
  ids.erase(repeated.begin(), repeated.end());
  return ids;
}

NodeId closest_of(std::span<const NodeId> ids, const NodeId& target) {
  return *std::ranges::min_element(
      ids, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, target); });
}

LinkedPeer relay(const NodeId& id, std::uint64_t link = 1) {
  return {.id = id, .relays = true, .link = LinkId{link}, .contact = {}};
}

LinkedPeer leaf(const NodeId& id, std::uint64_t link = 1) {
  return {.id = id, .relays = false, .link = LinkId{link}, .contact = {}};
}

ContactPtr contact_of(const NodeId& id, std::string address = "ws://10.0.0.1:80",
                      std::uint64_t sequence = 1) {
  ContactRecord record{.sequence = sequence};
  if (!address.empty()) record.addresses.push_back(*Address::parse(address));
  Bytes encoded;
  encode_contact_unsigned(record, encoded);
  encoded.resize(encoded.size() + contact_signature_bytes);
  return make_contact(id, record, encoded);
}

std::vector<NodeId> ids_of(std::span<const ContactPtr> contacts) {
  std::vector<NodeId> ids;
  for (const ContactPtr& contact : contacts) ids.push_back(contact->id);
  return ids;
}

// ---- The index ----

TEST(IdIndex, FindsTheClosestThatASearchOfAllFinds) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Random random{seed};
    const auto ids = clustered_ids(1 + random.below(80), random);
    for (int i = 0; i < 100; ++i) {
      NodeId target = random.id();
      if (i % 3 == 1) target = ids[random.below(ids.size())];
      if (i % 3 == 2) {
        target =
            beside(ids[random.below(ids.size())], static_cast<int>(random.below(id_bits)), random);
      }
      ASSERT_EQ(ids[IdIndex::closest(ids, target)], closest_of(ids, target)) << "seed " << seed;
    }
  }
}

TEST(IdIndex, ABucketIsExactlyThoseOfItsPrefix) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random{seed};
    const auto ids = clustered_ids(60, random);
    const NodeId self =
        beside(ids[random.below(ids.size())], static_cast<int>(random.below(id_bits)), random);
    std::size_t in_all = 0;
    for (int bits = 0; bits <= id_bits; ++bits) {
      const auto [low, high] = IdIndex::bucket(ids, self, bits);
      ASSERT_LE(low, high);
      ASSERT_LE(high, ids.size());
      for (std::size_t at = low; at < high; ++at) {
        ASSERT_EQ(common_prefix_bits(ids[at], self), bits) << "seed " << seed;
      }
      in_all += high - low;
    }
    const bool has_self = std::ranges::find(ids, self) != ids.end();
    EXPECT_EQ(in_all, ids.size() - (has_self ? 1 : 0)) << "each id has one bucket; ours has none";
  }
}

TEST(IdIndex, AnEmptyRowHasEmptyBuckets) {
  const auto [low, high] = IdIndex::bucket({}, NodeId{}, 5);
  EXPECT_EQ(low, high);
}

// ---- Links ----

TEST(Table, HoldsEachPeerOnce) {
  Random random{1};
  Table table{random.id()};
  const NodeId id = random.id();
  EXPECT_TRUE(table.add(relay(id, 1)));
  EXPECT_FALSE(table.add(leaf(id, 2)));
  ASSERT_NE(table.find(id), nullptr);
  EXPECT_EQ(table.find(id)->link, LinkId{1});
  EXPECT_EQ(table.relays(), 1u);
  EXPECT_TRUE(table.remove(id));
  EXPECT_FALSE(table.remove(id));
  EXPECT_EQ(table.find(id), nullptr);
  EXPECT_EQ(table.closest_relay(id), nullptr);
}

// Whatever comes and goes, what is told agrees with a plain list.
TEST(Table, AgreesWithAPlainListWhateverComesAndGoes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random{seed};
    const auto pool = clustered_ids(60, random);
    Table table{random.id()};
    std::set<NodeId> relays;
    std::set<NodeId> leaves;
    for (int step = 0; step < 400; ++step) {
      const NodeId& id = pool[random.below(pool.size())];
      const bool was_there = relays.contains(id) || leaves.contains(id);
      switch (random.below(4)) {
        case 0:
          EXPECT_EQ(table.add(relay(id)), !was_there);
          if (!was_there) relays.insert(id);
          break;
        case 1:
          EXPECT_EQ(table.add(leaf(id)), !was_there);
          if (!was_there) leaves.insert(id);
          break;
        case 2:
          EXPECT_EQ(table.remove(id), was_there);
          relays.erase(id);
          leaves.erase(id);
          break;
        default: {
          const bool relays_now = random.below(2) == 0;
          table.set_relays(id, relays_now);
          if (!was_there) break;
          (relays_now ? relays : leaves).insert(id);
          (relays_now ? leaves : relays).erase(id);
        }
      }
      const std::vector<NodeId> row(relays.begin(), relays.end());
      ASSERT_EQ(table.relays(), relays.size());
      ASSERT_EQ(table.leaves(), leaves.size());
      ASSERT_TRUE(std::ranges::equal(table.relay_ids(), row));
      const NodeId target = random.id();
      const LinkedPeer* const closest = table.closest_relay(target);
      ASSERT_EQ(closest == nullptr, row.empty());
      if (closest == nullptr) continue;
      ASSERT_EQ(closest->id, closest_of(row, target));

      std::vector<NodeId> sorted = row;
      std::ranges::sort(
          sorted, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, table.self()); });
      sorted.resize(std::min(sorted.size(), limits::siblings));
      ASSERT_EQ(table.siblings(), sorted);
      for (const NodeId& peer : row) {
        ASSERT_EQ(table.is_sibling(peer), std::ranges::find(sorted, peer) != sorted.end());
      }
      ASSERT_EQ(table.sibling_depth(), sorted.size() < limits::siblings
                                           ? 0
                                           : common_prefix_bits(table.self(), sorted.back()));
    }
  }
}

TEST(Table, FindsTheClosestButThoseAvoided) {
  Random random{3};
  Table table{random.id()};
  for (int i = 0; i < 10; ++i) table.add(relay(random.id()));
  const NodeId target = random.id();
  std::vector<NodeId> avoided;
  for (int i = 0; i < 10; ++i) {
    const LinkedPeer* const next = table.closest_relay(target, avoided);
    ASSERT_NE(next, nullptr);
    EXPECT_TRUE(avoided.empty() || !is_closer(next->id, avoided.back(), target));
    avoided.push_back(next->id);
  }
  EXPECT_EQ(table.closest_relay(target, avoided), nullptr);
}

TEST(Table, ALeafIsNobodysClosestAndNobodysSibling) {
  Random random{4};
  Table table{random.id()};
  const NodeId target = random.id();
  table.add(leaf(beside(target, 100, random)));
  EXPECT_EQ(table.closest_relay(target), nullptr);
  table.add(relay(beside(target, 0, random)));
  ASSERT_NE(table.closest_relay(target), nullptr);
  EXPECT_EQ(common_prefix_bits(table.closest_relay(target)->id, target), 0);
  EXPECT_THAT(table.siblings(), SizeIs(1));
}

TEST(Table, ABucketsRelaysAreCounted) {
  Random random{5};
  Table table{random.id()};
  for (int bucket = 0; bucket < 20; ++bucket) {
    for (int i = 0; i < bucket % 4; ++i) table.add(relay(beside(table.self(), bucket, random)));
    table.add(leaf(beside(table.self(), bucket, random)));
  }
  for (int bucket = 0; bucket < 25; ++bucket) {
    const auto expected = static_cast<std::size_t>(bucket < 20 ? bucket % 4 : 0);
    EXPECT_EQ(table.relays_in_bucket(bucket), expected);
    EXPECT_EQ(table.relays_by_bucket(25)[static_cast<std::size_t>(bucket)], expected);
    EXPECT_THAT(table.relay_ids_in_bucket(bucket), SizeIs(expected));
  }
}

TEST(Table, WhetherAnIdIsAmongTheClosestCountsNeitherOfTheTwo) {
  Random random{6};
  Table table{random.id()};
  const NodeId target = random.id();
  table.add(relay(target));
  table.add(relay(beside(target, 30, random)));
  const NodeId id = beside(target, 20, random);
  table.add(relay(id));
  EXPECT_TRUE(table.is_among_closest(id, target, 2)) << "one is closer; the target itself is not";
  EXPECT_FALSE(table.is_among_closest(id, target, 1));
}

// ---- Contacts ----

TEST(Contacts, OnlyANewerRecordReplacesAnOlder) {
  Random random{10};
  Table table{random.id()};
  const NodeId id = random.id();
  EXPECT_TRUE(table.learn(contact_of(id, "ws://10.0.0.1:80", 5), false));
  EXPECT_FALSE(table.learn(contact_of(id, "ws://10.0.0.2:80", 4), false));
  EXPECT_FALSE(table.learn(contact_of(id, "ws://10.0.0.2:80", 5), true));
  EXPECT_EQ(table.contact(id)->addresses().front().host, "10.0.0.1");
  EXPECT_TRUE(table.learn(contact_of(id, "ws://10.0.0.3:80", 6), false));
  EXPECT_EQ(table.contact(id)->addresses().front().host, "10.0.0.3");
  EXPECT_EQ(table.contacts(), 1u);
}

TEST(Contacts, ANewerRecordOfAPeerIsThePeersToo) {
  Random random{11};
  Table table{random.id()};
  LinkedPeer peer = relay(random.id());
  peer.contact = contact_of(peer.id, "ws://10.0.0.1:80", 5);
  const NodeId id = peer.id;
  table.add(std::move(peer));
  EXPECT_FALSE(table.learn(contact_of(id, "ws://10.0.0.2:80", 5), false));
  EXPECT_TRUE(table.learn(contact_of(id, "ws://10.0.0.3:80", 6), false));
  EXPECT_EQ(table.find(id)->contact->sequence, 6u);
  EXPECT_EQ(table.contact(id)->sequence, 6u);
}

TEST(Contacts, OfOurselvesAreNone) {
  Table table{Random{12}.id()};
  EXPECT_FALSE(table.learn(contact_of(table.self()), true));
  EXPECT_EQ(table.contacts(), 0u);
}

TEST(Contacts, AreForgotten) {
  Random random{13};
  Table table{random.id()};
  const NodeId id = random.id();
  table.forget(id);  // nothing there: no harm
  table.learn(contact_of(id), false);
  table.forget(id);
  EXPECT_EQ(table.contact(id), nullptr);
  EXPECT_EQ(table.contacts(), 0u);
}

// So many relays that strangers are no siblings of ours.
Table table_with_siblings(Random& random) {
  Table table{random.id()};
  for (std::size_t i = 0; i < limits::siblings; ++i) {
    table.add(relay(beside(table.self(), 60, random)));
  }
  return table;
}

TEST(Contacts, HearsayFillsABucketAndThenDisplacesNobody) {
  Random random{14};
  Table table = table_with_siblings(random);
  std::vector<NodeId> first;
  for (std::size_t i = 0; i < limits::contacts_per_bucket; ++i) {
    first.push_back(beside(table.self(), 3, random));
    EXPECT_TRUE(table.learn(contact_of(first.back()), false));
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(table.learn(contact_of(beside(table.self(), 3, random)), false));
  }
  EXPECT_THAT(ids_of(table.contacts_in_bucket(3)), ElementsAreArray(first));
  EXPECT_EQ(table.contacts(), limits::contacts_per_bucket);
  EXPECT_TRUE(table.learn(contact_of(beside(table.self(), 4, random)), false))
      << "others have room";
}

TEST(Contacts, WhomWeHaveMetTakesThePlaceOfTheFarthest) {
  Random random{15};
  Table table = table_with_siblings(random);
  std::vector<NodeId> ids;
  for (std::size_t i = 0; i < limits::contacts_per_bucket; ++i) {
    ids.push_back(beside(table.self(), 3, random));
    table.learn(contact_of(ids.back()), false);
  }
  const NodeId met = beside(table.self(), 3, random);
  EXPECT_TRUE(table.learn(contact_of(met), true));
  EXPECT_THAT(table.contacts_in_bucket(3), SizeIs(limits::contacts_per_bucket));
  const NodeId farthest = *std::ranges::max_element(
      ids, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, table.self()); });
  EXPECT_EQ(table.contact(farthest), nullptr);
  EXPECT_NE(table.contact(met), nullptr);
}

TEST(Contacts, HearsayOfASiblingDisplacesOneFartherAndNeverOneCloser) {
  Random random{16};
  Table table{random.id()};  // without a link everybody would be a sibling
  std::vector<NodeId> ids;
  for (std::size_t i = 0; i < 200; ++i) {
    const NodeId id = beside(table.self(), 3, random);
    ids.push_back(id);
    table.learn(contact_of(id), false);
  }
  std::ranges::sort(
      ids, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, table.self()); });
  ids.resize(limits::contacts_per_bucket);
  auto kept = ids_of(table.contacts_in_bucket(3));
  std::ranges::sort(
      kept, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, table.self()); });
  EXPECT_EQ(kept, ids) << "the closest of all that we heard of";
}

TEST(Contacts, PeersTakeNoRoomFromStrangers) {
  Random random{17};
  Table table = table_with_siblings(random);
  for (int i = 0; i < 20; ++i) {
    const NodeId id = beside(table.self(), 3, random);
    table.add(relay(id));
    table.learn(contact_of(id), true);
  }
  for (std::size_t i = 0; i < limits::contacts_per_bucket; ++i) {
    EXPECT_TRUE(table.learn(contact_of(beside(table.self(), 3, random)), false));
  }
  EXPECT_FALSE(table.learn(contact_of(beside(table.self(), 3, random)), false));
}

TEST(Contacts, WhoeverWasLinkedIsRememberedAndTheBucketKeepsItsBound) {
  Random random{18};
  Table table = table_with_siblings(random);
  const auto linked = [&](std::string address) {
    LinkedPeer peer = relay(beside(table.self(), 3, random));
    peer.contact = contact_of(peer.id, std::move(address));
    const NodeId id = peer.id;
    table.add(std::move(peer));
    return id;
  };
  const NodeId dialable = linked("ws://10.0.0.1:80");
  const NodeId guest = linked("");
  EXPECT_EQ(table.contacts(), 0u);
  table.remove(dialable);
  table.remove(guest);
  EXPECT_THAT(ids_of(table.contacts_in_bucket(3)), ElementsAre(dialable));
  table.add(relay(dialable));
  EXPECT_EQ(table.contacts(), 0u);
  EXPECT_NE(table.find(dialable)->contact, nullptr) << "what we had heard of it";
  for (int i = 0; i < 30; ++i) table.remove(linked("ws://10.0.0.1:80"));
  EXPECT_EQ(table.contacts(), limits::contacts_per_bucket);
}

TEST(Contacts, OneSubnetHasFewPlacesInABucket) {
  Random random{18};
  Table table = table_with_siblings(random);
  const auto hear = [&](std::string address, int bucket = 3) {
    return table.learn(contact_of(beside(table.self(), bucket, random), std::move(address)), false);
  };
  EXPECT_TRUE(hear("ws://8.8.8.1:80"));
  EXPECT_TRUE(hear("ws://8.8.8.2:80"));
  EXPECT_FALSE(hear("ws://8.8.8.3:80"));
  EXPECT_TRUE(hear("ws://8.8.8.3:80", 4)) << "in another bucket";
  EXPECT_TRUE(hear("ws://8.8.9.3:80")) << "of another subnet";
  EXPECT_TRUE(hear("ws://[2600:1:2::1]:80"));
  EXPECT_TRUE(hear("ws://[2600:1:2:ffff::2]:80"));
  EXPECT_FALSE(hear("ws://[2600:1:2::3]:80"));
  EXPECT_FALSE(hear("ws://[::ffff:8.8.8.9]:80")) << "the same, written otherwise";
  EXPECT_TRUE(table.learn(contact_of(beside(table.self(), 3, random), "ws://8.8.8.4:80"), true))
      << "whom we have met is no hearsay";
}

TEST(Contacts, OfOneSiteAreNotCrowded) {
  Random random{19};
  Table table = table_with_siblings(random);
  for (std::size_t i = 0; i < limits::contacts_per_bucket; ++i) {
    EXPECT_TRUE(
        table.learn(contact_of(beside(table.self(), 3, random), "ws://192.168.1.5:80"), false));
  }
}

TEST(Contacts, TheClosestAreGivenClosestFirstAndOnlyThoseThatCanBeDialed) {
  Random random{20};
  Table table{random.id()};
  std::vector<NodeId> linked;
  std::vector<NodeId> all;
  for (int i = 0; i < 40; ++i) {
    const NodeId id = random.id();
    const bool is_dialable = i % 4 != 0;
    const auto contact = contact_of(id, is_dialable ? "ws://10.0.0.1:80" : "");
    if (i % 2 == 0) {
      LinkedPeer peer = relay(id);
      peer.contact = contact;
      table.add(std::move(peer));
      if (is_dialable) linked.push_back(id);
    }
    const bool is_known = table.learn(contact, true) || i % 2 == 0;
    if (is_dialable && is_known) all.push_back(id);
  }
  // The bucket's bound may have displaced some: ask the table itself.
  std::erase_if(all, [&](const NodeId& id) { return table.contact(id) == nullptr; });
  const NodeId target = random.id();
  const auto closer = [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, target); };
  std::ranges::sort(linked, closer);
  std::ranges::sort(all, closer);
  EXPECT_EQ(ids_of(table.closest_contacts(target, 1000, true)), linked);
  EXPECT_EQ(ids_of(table.closest_contacts(target, 1000, false)), all);
  linked.resize(3);
  EXPECT_EQ(ids_of(table.closest_contacts(target, 3, true)), linked);
  EXPECT_THAT(table.closest_contacts(target, 0, false), IsEmpty());
  // Around ourselves the buckets say who can't be among them.
  std::ranges::sort(
      all, [&](const NodeId& a, const NodeId& b) { return is_closer(a, b, table.self()); });
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{7}, all.size()}) {
    EXPECT_THAT(ids_of(table.closest_contacts(table.self(), count, false)),
                testing::ElementsAreArray(all.begin(), all.begin() + static_cast<long>(count)));
  }
  EXPECT_EQ(ids_of(table.closest_contacts(table.self(), 1000, false)), all);
}

}  // namespace
}  // namespace peer_relay
