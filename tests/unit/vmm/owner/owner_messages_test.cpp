// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/owner/noting_owner.hpp"

namespace gpuvm::owner_messages_test {
namespace {

using owner::Request;
using testing::HasSubstr;

std::vector<Request> one_of_each() {
  owner::HoldFunction hold;
  hold.function = test::held("0001:c2:1f.7");
  hold.function.reset_method = 3;
  hold.function.settle = std::chrono::milliseconds(1500);
  hold.function.link_width = 16;
  hold.function.is_resized = true;
  hold.function.vf_token = "6f2d5f3e-8c55-4f4a-9b59-0f6d6d8b9a10";
  hold.has_claim = true;
  hold.has_binding = true;
  return {hold,
          owner::HoldState{.name = "socket-fe01-2a.state"},
          owner::DeclareFile{.path = "/var/lib/gpuvm/main.vars", .use = FileUse::kReplace},
          owner::DeclareFile{.path = "/boot/vmlinuz", .use = FileUse::kRead},
          owner::GuestRuns{},
          owner::MarkFailed{.function = 2, .reason = "hot reset: no answer"},
          owner::CheckLink{.function = 1},
          owner::RetrainLink{.function = 0},
          owner::ReplaceFile{.file = 7},
          owner::OpenFile{.file = 8},
          owner::TakeCard{.card = 3},
          owner::GiveBackCard{.card = 4},
          owner::AskCard{.card = 5},
          owner::FetchCardFile{.card = 6, .kind = CardFileKind::kResource, .index = 7}};
}

std::string error_of(std::vector<std::byte> packet) {
  const auto decoded = owner::decode(packet);
  return decoded ? "" : decoded.error().message();
}

TEST(OwnerMessages, EachComesOutAsItWentIn) {
  std::uint32_t number = 40;
  for (const Request& request : one_of_each()) {
    const auto packet = owner::encode(++number, request);
    EXPECT_LE(packet.size(), owner::kMostMessage);
    const auto decoded = owner::decode(packet);
    ASSERT_TRUE(decoded) << request.index() << ": " << decoded.error().to_string();
    EXPECT_EQ(decoded->number, number);
    EXPECT_TRUE(decoded->request == request) << request.index();
  }
}

// A wire format of two processes of one program still has a form that it must have.
TEST(OwnerMessages, AreLittleEndianBehindAHeaderOf16Bytes) {
  const auto packet = owner::encode(0x01020304, owner::CheckLink{.function = 5});
  const std::vector<unsigned> wanted{0x67, 0x6f, 0x77, 0x31, 6, 0, 0, 0, 4, 3,
                                     2,    1,    4,    0,    0, 0, 5, 0, 0, 0};
  ASSERT_EQ(packet.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(std::to_integer<unsigned>(packet[i]), wanted[i]) << i;
  }
}

TEST(OwnerMessages, NoneIsTakenThatIsCutOrHasMore) {
  for (const Request& request : one_of_each()) {
    const auto packet = owner::encode(1, request);
    for (std::size_t size = 0; size < packet.size(); ++size) {
      EXPECT_FALSE(owner::decode(std::span(packet).first(size))) << request.index() << " " << size;
    }
    auto longer = packet;
    longer.push_back(std::byte{0});
    EXPECT_THAT(error_of(longer), HasSubstr("length")) << request.index();
    longer[12] = static_cast<std::byte>(std::to_integer<unsigned>(longer[12]) + 1);  // the header's
    EXPECT_FALSE(owner::decode(longer)) << request.index();
  }
}

TEST(OwnerMessages, WrongHeadersAreTold) {
  const auto good = owner::encode(1, owner::GuestRuns{});
  for (const std::size_t at : {0U, 6U, 7U}) {
    auto packet = good;
    packet[at] ^= std::byte{1};
    EXPECT_THAT(error_of(packet), HasSubstr("header")) << at;
  }
  for (const unsigned kind : {0U, 14U, 255U}) {
    auto packet = good;
    packet[4] = static_cast<std::byte>(kind);
    EXPECT_THAT(error_of(packet), HasSubstr("unknown kind")) << kind;
  }
  auto packet = good;
  packet[15] = std::byte{0xff};
  EXPECT_THAT(error_of(packet), HasSubstr("length"));
}

TEST(OwnerMessages, TextsMustBeWhatTheyAreFor) {
  for (const std::string name : {"", ".", "..", "../x", "a/b", "a b", ".hidden", "a\n"}) {
    EXPECT_THAT(error_of(owner::encode(1, owner::HoldState{.name = name})), HasSubstr("name"))
        << name;
  }
  const std::string with_nul("/a\0b", 4);
  for (const std::string& path : {std::string(), std::string("var/x"), with_nul}) {
    EXPECT_THAT(error_of(owner::encode(1, owner::DeclareFile{.path = path})), HasSubstr("path"));
  }
}

TEST(OwnerMessages, OneWayToSayEachThing) {
  owner::HoldFunction hold;
  hold.function = test::held("0000:01:00.0");
  const auto good = owner::encode(1, hold);
  ASSERT_TRUE(owner::decode(good));
  for (const std::size_t at : {20U, 21U, 23U}) {  // bits, the method, the rest
    auto packet = good;
    packet[at] = std::byte{0x40};
    EXPECT_THAT(error_of(packet), HasSubstr("mean nothing")) << at;
  }
}

TEST(OwnerMessages, AFileOfACardIsOfAKind) {
  auto packet = owner::encode(1, owner::FetchCardFile{.kind = CardFileKind::kResource});
  ASSERT_TRUE(owner::decode(packet));
  packet[20] = std::byte{5};
  EXPECT_THAT(error_of(packet), HasSubstr("unknown kind"));
}

TEST(OwnerMessages, LongTextsAreCutByWhoSends) {
  const auto packet = owner::encode(
      1, owner::MarkFailed{.function = 0, .reason = std::string(owner::kMostReason + 9, 'x')});
  const auto decoded = owner::decode(packet);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<owner::MarkFailed>(decoded->request).reason.size(), owner::kMostReason);
}

TEST(OwnerMessages, AnswersComeOutAsTheyWentIn) {
  for (const owner::Answer& answer :
       {owner::Answer{.number = 3, .value = 9},
        owner::Answer{.number = 4, .error = ErrorKind::kUnsafeDevice, .text = "It is dirty"},
        owner::Answer{.number = 5, .error = ErrorKind::kUsage, .text = ""}}) {
    const auto decoded = owner::decode_answer(owner::encode(answer));
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(*decoded == answer);
  }
  auto packet = owner::encode(owner::Answer{.number = 1});
  packet[16] = std::byte{99};  // no kind of error
  EXPECT_FALSE(owner::decode_answer(packet));
  EXPECT_FALSE(owner::decode_answer(owner::encode(1, owner::GuestRuns{})));
  EXPECT_FALSE(owner::decode_answer({}));
}

}  // namespace
}  // namespace gpuvm::owner_messages_test
