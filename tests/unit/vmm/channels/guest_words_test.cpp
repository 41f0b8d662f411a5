// SPDX-License-Identifier: Apache-2.0
// GuestWords: from the configuration to the events.
#include "vmm/channels/guest_words.hpp"

#include <gmock/gmock.h>
#include <linux/vm_sockets.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gpuvm::guest_words_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class GuestWordsTest : public ::testing::Test {
 protected:
  GuestWordsTest() {
    std::string pattern = ::testing::TempDir() + "/gpuvm-guest-words-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    config_.name = "guest";
    config_.shares.push_back({.path = folder_, .tag = "out"});
    events_.add([this](const GuestEvent& event) {
      const auto& word = std::get<GuestWord>(event.what);
      said_.push_back(word.channel + " " + word.word +
                      (word.status ? " " + std::to_string(*word.status) : ""));
    });
  }
  ~GuestWordsTest() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<GuestWords> open() {
    auto words = GuestWords::open(config_, events_);
    EXPECT_TRUE(words) << words.error().to_string();
    return std::move(words).value();
  }
  static void receive(GuestWords& words, std::string_view text) {
    words.port_received(std::as_bytes(std::span(text.data(), text.size())));
  }
  /// Whether this machine's kernel has vsock.
  static bool has_vsock() { return listen_on_vsock().has_value(); }

  std::string folder_;
  Config config_;
  GuestEvents events_{"guest"};
  std::vector<std::string> said_;
};

TEST_F(GuestWordsTest, NothingIsAskedFor) {
  const auto words = open();
  Config told = config_;
  words->announce(told);
  EXPECT_EQ(told, config_);
  EXPECT_TRUE(words->listen(std::nullopt));
  words->finish();
  InspectNode node;
  words->inspect(node);
  EXPECT_EQ(node.to_json(), "{}");
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(GuestWordsTest, TheStatusPort) {
  config_.test.status_port = true;
  const auto words = open();
  receive(*words, "REA");
  receive(*words, "DY\n{\"exit\":3}\n");
  receive(*words, "4");
  words->port_closed();
  receive(*words, "5");
  words->port_begun();
  words->port_closed();
  receive(*words, "6");
  words->port_cut();
  receive(*words, "7\n");
  EXPECT_THAT(said_, ElementsAre("status_port ready", "status_port exit 3", "status_port exit 4"));
}

TEST_F(GuestWordsTest, TheResultFileIsReadAtTheEnd) {
  config_.test.result_file = ResultFileConfig{.tag = "out", .path = "status"};
  const auto words = open();
  std::ofstream(folder_ + "/status") << "3\n";
  EXPECT_THAT(said_, IsEmpty());
  words->finish();
  EXPECT_THAT(said_, ElementsAre("result_file exit 3"));
}

TEST_F(GuestWordsTest, NoResultFileIsNoWord) {
  config_.test.result_file = ResultFileConfig{.tag = "out", .path = "status"};
  open()->finish();
  std::filesystem::create_symlink("/etc/passwd", folder_ + "/status");
  open()->finish();
  EXPECT_THAT(said_, IsEmpty());
  EXPECT_TRUE(check_words(config_));
  config_.shares.clear();
  const auto checked = check_words(config_);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().to_string(), HasSubstr("no [[share]] with the tag out"));
}

TEST_F(GuestWordsTest, TheGuestIsToldOfItsPorts) {
  if (!has_vsock()) {
    GTEST_SKIP() << "this kernel has no vsock";
  }
  config_.test.vsock_status = true;
  config_.test.notify = true;
  config_.boot.kernel = "/k";
  config_.boot.cmdline = "quiet";
  const auto words = open();
  Config told = config_;
  words->announce(told);
  InspectNode node;
  words->inspect(node);
  const std::string port(node.child("vsock").get("port"));
  const std::string other(node.child("notify").get("port"));
  EXPECT_NE(port, other);
  ASSERT_EQ(told.credentials.size(), 2U);
  EXPECT_EQ(told.credentials[0].name, "gpuvm.status_port");
  EXPECT_EQ(told.credentials[0].text, port);
  EXPECT_EQ(told.credentials[1].name, "vmm.notify_socket");
  EXPECT_EQ(told.credentials[1].text, "vsock-stream:2:" + other);
  EXPECT_EQ(told.boot.cmdline, "quiet gpuvm.vsock=" + port);
  EXPECT_TRUE(words->listen(1234));
  words->finish();
}

TEST_F(GuestWordsTest, ADisksBootLoaderHasItsOwnCommandLine) {
  if (!has_vsock()) {
    GTEST_SKIP() << "this kernel has no vsock";
  }
  config_.test.vsock_status = true;
  Config told = config_;
  open()->announce(told);
  EXPECT_EQ(told.boot.cmdline, "");
}

TEST_F(GuestWordsTest, WhoHasConnected) {
  sockaddr_storage peer{};
  EXPECT_EQ(cid_of(peer), std::nullopt);
  auto& address = reinterpret_cast<sockaddr_vm&>(peer);
  address.svm_family = AF_VSOCK;
  address.svm_cid = 1234;
  EXPECT_EQ(cid_of(peer), 1234U);
}

TEST_F(GuestWordsTest, WhatIsToldBeforeAStart) {
  InspectNode none;
  describe_words(config_, none);
  EXPECT_EQ(none.to_text(), InspectNode().to_text());
  config_.test = {.status_port = true,
                  .vsock_status = true,
                  .notify = true,
                  .result_file = ResultFileConfig{.tag = "out", .path = "a/b"}};
  InspectNode node;
  describe_words(config_, node);
  EXPECT_THAT(std::string(node.get("status_port")), HasSubstr("org.gpuvm.status"));
  EXPECT_THAT(std::string(node.get("vsock_status")), HasSubstr("gpuvm.vsock="));
  EXPECT_THAT(std::string(node.get("notify")), HasSubstr("vmm.notify_socket"));
  EXPECT_EQ(node.get("result_file"), "a/b in the share out");
}

}  // namespace
}  // namespace gpuvm::guest_words_test
