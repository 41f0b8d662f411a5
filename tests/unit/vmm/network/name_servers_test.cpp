// SPDX-License-Identifier: Apache-2.0
// resolv.conf(5), with what hosts have in it.
#include "vmm/network/name_servers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpuvm::name_servers_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kResolved =
    "# This is /run/systemd/resolve/stub-resolv.conf\nnameserver 127.0.0.53\noptions edns0\n";

TEST(NameServers, ThoseOfTheHostWillDo) {
  for (const std::string_view text :
       {"nameserver 10.0.0.53\n", "nameserver 127.0.0.53\nnameserver 10.0.0.53\n",
        "nameserver 2001:db8::53", "", "search example.org\n"}) {
    const auto chosen = choose_name_servers(text, "nameserver 192.0.2.53\n");
    EXPECT_THAT(chosen.instead, IsEmpty()) << text;
    EXPECT_FALSE(chosen.none_reachable) << text;
  }
}

TEST(NameServers, ThoseThatALocalResolverAsks) {
  for (const std::string_view text : {kResolved, std::string_view("nameserver ::1\n")}) {
    const auto chosen = choose_name_servers(
        text,
        "nameserver 192.0.2.53\nnameserver 127.0.0.1\n nameserver\t2001:db8::53 \n"
        "nameserver fe80::1%eth0\nnameserver\nnameserver example\nnameserver 1.1.1.1\n"
        "nameserver 8.8.8.8\n");
    EXPECT_THAT(chosen.instead, ElementsAre("192.0.2.53", "2001:db8::53", "1.1.1.1"));
    EXPECT_FALSE(chosen.none_reachable);
  }
}

TEST(NameServers, NoneThatTheGuestReaches) {
  for (const std::string_view upstream : {std::string_view(), kResolved}) {
    const auto chosen = choose_name_servers(kResolved, upstream);
    EXPECT_THAT(chosen.instead, IsEmpty());
    EXPECT_TRUE(chosen.none_reachable);
  }
}

}  // namespace
}  // namespace gpuvm::name_servers_test
