// SPDX-License-Identifier: Apache-2.0
// SHA-1 and name-based UUIDs against the examples of their specifications.
#include "firmware/smbios/uuid.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace gpuvm::uuid_test {
namespace {

std::string sha1_hex(std::string_view text) {
  std::string hex;
  for (const std::byte byte : sha1(std::as_bytes(std::span(text)))) {
    hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  }
  return hex;
}

TEST(Sha1, KnownAnswers) {  // RFC 3174, 7.3, and the empty message
  EXPECT_EQ(sha1_hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(sha1_hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_hex(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Uuid, NameBased) {  // RFC 9562, A.4: DNS name space, "www.example.com"
  Uuid dns;
  std::size_t at = 0;
  for (const unsigned value : {0x6bU, 0xa7U, 0xb8U, 0x10U, 0x9dU, 0xadU, 0x11U, 0xd1U, 0x80U, 0xb4U,
                               0x00U, 0xc0U, 0x4fU, 0xd4U, 0x30U, 0xc8U}) {
    dns.bytes.at(at++) = static_cast<std::byte>(value);
  }
  EXPECT_EQ(dns.to_string(), "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
  EXPECT_EQ(name_based_uuid(dns, "www.example.com").to_string(),
            "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

TEST(Uuid, OfMachinesIsStable) {
  // Changing this changes the identity of every guest.
  EXPECT_EQ(machine_uuid("demo").to_string(), "98cd790e-3658-5ccd-bdc7-ac287835d2f1");
  EXPECT_NE(machine_uuid("demo"), machine_uuid("demo2"));
}

}  // namespace
}  // namespace gpuvm::uuid_test
