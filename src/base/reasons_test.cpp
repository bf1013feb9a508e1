// SPDX-License-Identifier: MIT
#include "peer_relay/reasons.hpp"

#include <set>

#include <gtest/gtest.h>

#include "peer_relay/result.hpp"

namespace peer_relay {
namespace {

/// The names of all values of an enum below its count_ but those in the gap between what travels
/// and what never does.
template <class Reason>
std::set<std::string_view> names_of() {
  std::set<std::string_view> names;
  std::size_t named = 0;
  for (std::uint8_t number = 0; number < static_cast<std::uint8_t>(Reason::count_); ++number) {
    if (name_of(Reason{number}) == "unknown") continue;
    names.insert(name_of(Reason{number}));
    ++named;
  }
  EXPECT_EQ(names.size(), named) << "a name is used twice";
  return names;
}

TEST(Names, AreThereForEveryReason) {
  EXPECT_EQ(names_of<DropReason>().size(), static_cast<std::size_t>(DropReason::count_));
  EXPECT_EQ(names_of<DialError>().size(), static_cast<std::size_t>(DialError::count_));
  EXPECT_EQ(names_of<CloseReason>().size(), 12u + 7u);
  EXPECT_EQ(names_of<UnreachableReason>().size(), 5u + 2u);
  EXPECT_EQ(names_of<StreamEnd>().size(), 6u + 3u);
}

TEST(Names, AreThoseOfTheSource) {
  EXPECT_EQ(name_of(DropReason::hops_spent), "hops_spent");
  EXPECT_EQ(name_of(CloseReason::too_many_handshakes), "too_many_handshakes");
  EXPECT_EQ(name_of(DialError::tls_failed), "tls_failed");
  EXPECT_EQ(name_of(UnreachableReason::session_refused), "session_refused");
  EXPECT_EQ(name_of(StreamEnd::timed_out), "timed_out");
}

TEST(Names, OfWhatIsNoReasonSaySo) {
  EXPECT_EQ(name_of(DropReason::count_), "unknown");
  EXPECT_EQ(name_of(CloseReason{63}), "unknown");
  EXPECT_EQ(name_of(DialError{255}), "unknown");
  EXPECT_EQ(name_of(UnreachableReason{5}), "unknown");
}

TEST(Errors, AreDescribedInOneSentenceEach) {
  std::set<std::string_view> sentences;
  for (std::uint8_t number = 0; number <= static_cast<std::uint8_t>(Error::state_in_use);
       ++number) {
    const std::string_view sentence = describe(Error{number});
    EXPECT_NE(sentence, "unknown error") << int{number};
    EXPECT_FALSE(sentence.ends_with('.')) << sentence;
    EXPECT_TRUE(sentences.insert(sentence).second) << sentence;
  }
}

}  // namespace
}  // namespace peer_relay
