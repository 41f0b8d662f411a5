// SPDX-License-Identifier: Apache-2.0
// Cards chosen, claimed and waited for, in one process with threads; many processes are in
// stress_test.cpp.
#include "vmm/cards/take_cards.hpp"

#include <gmock/gmock.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/unit/vmm/cards/cards_fixture.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::take_cards_test {
namespace {

using namespace std::chrono_literals;
using cards_fixture::guest;
using cards_fixture::kFirst;
using cards_fixture::kSecond;
using cards_fixture::naming;
using cards_fixture::wanting;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

bool are_end_signals_blocked() {
  sigset_t now{};
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  return ::sigismember(&now, SIGTERM) == 1;
}

class TakeCardsTest : public testing::Test {
 protected:
  TakeCardsTest() {
    host_.add_card(kFirst, 1);
    host_.add_card(kSecond, 2);
  }
  ~TakeCardsTest() override { cards_fixture::unblock_end_signals(); }

  Result<TakenCards> take(std::vector<PciConfig> sections, TakeOptions options = {}) {
    return take_cards(host_, guest("main", std::move(sections)), options);
  }
  DeviceClaim hold(const std::string& bdf) {
    auto claim = DeviceClaim::take(host_, bdf_of(bdf), "the guest other");
    EXPECT_TRUE(claim) << claim.error().to_string();
    return std::move(claim).value();
  }
  cards_fixture::CardHost host_;
};

/// take_cards() on a thread of its own, which tells when it waits.
class Waiter {
 public:
  /// Without a `look_again` of its own only events end the wait.
  Waiter(const HostSystem& host, Config config, std::chrono::seconds wait,
         std::chrono::milliseconds look_again = 1h)
      : thread_([this, &host, config = std::move(config), wait, look_again] {
          TakeOptions options{.wait = wait, .look_again = look_again};
          options.on_progress = [this](const WaitProgress& progress) {
            last_text_ = progress.text;
            ++progresses_;
          };
          result_.set_value(take_cards(host, config, options));
        }) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    while (progresses_ == 0 && future_.wait_for(1ms) != std::future_status::ready &&
           std::chrono::steady_clock::now() < limit) {
    }
  }
  ~Waiter() { thread_.join(); }
  bool is_waiting() { return future_.wait_for(0s) != std::future_status::ready; }
  Result<TakenCards> result() { return future_.get(); }
  void signal(int number) { ::pthread_kill(thread_.native_handle(), number); }
  const std::string& text() const { return last_text_; }

 private:
  std::promise<Result<TakenCards>> result_;
  std::future<Result<TakenCards>> future_ = result_.get_future();
  std::atomic<int> progresses_{0};
  std::string last_text_;
  std::thread thread_;
};

TEST_F(TakeCardsTest, WithoutMatchNothingHappens) {
  const auto taken = take({naming(kFirst)});
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->config.pci.at(0).host, bdf_of(kFirst));
  EXPECT_THAT(taken->claims.functions(), IsEmpty());
  EXPECT_THAT(host_.state(), IsEmpty());
  EXPECT_FALSE(are_end_signals_blocked());
}

TEST_F(TakeCardsTest, ChosenCardIsClaimedWithAllItsFunctions) {
  {
    auto section = wanting("any-gpu");
    section.p2p = true;
    const auto taken = take({section});
    ASSERT_TRUE(taken) << taken.error().to_string();
    EXPECT_EQ(taken->config.pci.at(0).host, bdf_of(kFirst));
    EXPECT_TRUE(taken->config.pci.at(0).match.empty());
    EXPECT_TRUE(taken->config.pci.at(0).p2p) << "the other keys are for the card";
    EXPECT_THAT(taken->claims.functions(), ElementsAre(bdf_of(kFirst), bdf_of("0000:01:00.1")));
    EXPECT_EQ(current_owner(host_, bdf_of(kFirst))->owner, "the guest main");
    EXPECT_TRUE(are_end_signals_blocked()) << "until the run takes them";
    const auto next = take({wanting("any-gpu")});
    ASSERT_TRUE(next);
    EXPECT_EQ(next->config.pci.at(0).host, bdf_of(kSecond));
  }
  EXPECT_THAT(host_.state(), IsEmpty());
}

TEST_F(TakeCardsTest, TwoSectionsGetTwoCards) {
  const auto taken = take({wanting("any-gpu"), wanting("10de:*")});
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->config.pci[0].host, bdf_of(kFirst));
  EXPECT_EQ(taken->config.pci[1].host, bdf_of(kSecond));
  EXPECT_EQ(taken->claims.functions().size(), 4U);
}

TEST_F(TakeCardsTest, WithoutAFreeCardEachReasonIsTold) {
  const auto other = hold(kFirst);
  host_.directory("/sys/bus/pci/devices/" + kSecond + "/net/eth0");
  host_.file("/sys/bus/pci/devices/" + kSecond + "/net/eth0/operstate", "up\n");
  const auto taken = take({wanting("any-gpu")});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(taken.error().to_string(),
              AllOf(HasSubstr("No card is free for pci.0 (guest.toml:3:1), match = any-gpu: "),
                    HasSubstr(fmt::format("0000:01:00.0: taken by gpuvm {} (the guest other); ",
                                          ::getpid())),
                    HasSubstr("0000:02:00.0: in use by the host (network interface eth0 is up)"),
                    HasSubstr("--wait 30m")));
  EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state"));
  EXPECT_FALSE(are_end_signals_blocked());
}

TEST_F(TakeCardsTest, TwoAreTakenOrNone) {
  const auto other = hold(kSecond);
  EXPECT_FALSE(take({wanting("any-gpu"), wanting("any-gpu")}));
  EXPECT_FALSE(current_owner(host_, bdf_of(kFirst)));
}

TEST_F(TakeCardsTest, WhatNoWaitCanBringIsToldAtOnce) {
  const auto none = take({wanting("1002:*")}, {.wait = 600s});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().to_string(),
            "This host has no card for pci.0 (guest.toml:3:1), match = 1002:*: `lspci -Dnn` lists "
            "what it has");
  host_.file("/sys/bus/pci/devices/" + kFirst + "/boot_vga", "1");
  auto section = wanting("any-gpu");
  section.quirks = {"no-such-quirk"};
  const auto unfit = take({section}, {.wait = 600s});
  ASSERT_FALSE(unfit);
  EXPECT_THAT(unfit.error().to_string(), HasSubstr("No card of this host will do for pci.0"));
  EXPECT_THAT(host_.state(), IsEmpty());
}

TEST_F(TakeCardsTest, MoreSectionsThanCardsIsToldAtOnce) {
  const auto other = hold(kFirst);
  const auto taken =
      take({wanting("any-gpu"), wanting("any-gpu"), wanting("any-gpu")}, {.wait = 600s});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().to_string(), HasSubstr("This host has too few cards for pci.2"));
}

TEST_F(TakeCardsTest, OwnerThatCannotBeSeenIsFoundByItsLock) {
  std::filesystem::remove(host_.path("/proc"));
  const auto other = hold("0000:01:00.1");
  const auto taken = take({wanting("any-gpu")});
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(taken->config.pci[0].host, bdf_of(kSecond));
  EXPECT_FALSE(host_.exists("/run/gpuvm/0000:01:00.0.state")) << "let go of again";
}

TEST_F(TakeCardsTest, WaitEndsWithTheCard) {
  auto other = std::make_optional(hold(kFirst));
  Waiter waiter(host_, guest("main", {naming(kFirst)}), 600s);
  ASSERT_TRUE(waiter.is_waiting()) << "also one that names its card waits for it";
  EXPECT_THAT(waiter.text(),
              AllOf(HasSubstr("Waiting for pci.0 (guest.toml:3:1), host = 0000:01:00.0"),
                    HasSubstr("next in the queue"), HasSubstr("the guest other")));
  EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state", "ticket-0000000001"));
  other.reset();
  const auto taken = waiter.result();
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(taken->claims.functions().size(), 2U);
  EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state", "0000:01:00.1.state"));
}

TEST_F(TakeCardsTest, UseWithoutAnEventIsSeenToEndAllTheSame) {
  const std::string state = "/sys/bus/pci/devices/" + kFirst + "/net/eth0/operstate";
  host_.file(state, "up\n");
  Waiter waiter(host_, guest("main", {naming(kFirst)}), 600s, 50ms);
  ASSERT_TRUE(waiter.is_waiting());
  host_.file(state, "down\n");
  EXPECT_TRUE(waiter.result());
}

TEST_F(TakeCardsTest, WaitEndsWithItsTime) {
  const auto other = hold(kFirst);
  Waiter waiter(host_, guest("main", {naming(kFirst)}), 1s);
  const auto taken = waiter.result();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(taken.error().to_string(), HasSubstr("No card became free within 1s for pci.0"));
  EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state"));
}

TEST_F(TakeCardsTest, SignalsEndTheWaitAtOnce) {
  const auto other = hold(kFirst);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Waiter waiter(host_, guest("main", {naming(kFirst)}), 600s);
    ASSERT_TRUE(waiter.is_waiting());
    waiter.signal(number);
    const auto taken = waiter.result();
    ASSERT_TRUE(taken) << taken.error().to_string();
    EXPECT_EQ(taken->signal, number);
    EXPECT_THAT(taken->claims.functions(), IsEmpty());
    EXPECT_THAT(host_.state(), ElementsAre("0000:01:00.0.state")) << "and nothing is left";
  }
}

TEST_F(TakeCardsTest, WhoWaitsForAnotherCardKeepsNobody) {
  auto first = std::make_optional(hold(kFirst));
  auto second = std::make_optional(hold(kSecond));
  Waiter ahead(host_, guest("ahead", {naming(kFirst)}), 600s);
  Waiter behind(host_, guest("behind", {wanting("any-gpu")}), 600s);
  ASSERT_TRUE(ahead.is_waiting() && behind.is_waiting());
  EXPECT_THAT(behind.text(), HasSubstr("behind 1 other guest"));
  second.reset();
  const auto taken = behind.result();
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(taken->config.pci[0].host, bdf_of(kSecond));
  EXPECT_TRUE(ahead.is_waiting());
  first.reset();
  EXPECT_TRUE(ahead.result());
}

TEST_F(TakeCardsTest, WhoCameFirstHasTheFirstChoice) {
  auto first = std::make_optional(hold(kFirst));
  auto second = std::make_optional(hold(kSecond));
  Waiter ahead(host_, guest("ahead", {wanting("any-gpu")}), 600s);
  Waiter behind(host_, guest("behind", {naming(kFirst)}), 600s);
  ASSERT_TRUE(ahead.is_waiting() && behind.is_waiting());
  const auto impatient = take({wanting("any-gpu")});
  ASSERT_FALSE(impatient);
  second.reset();
  {
    const auto taken = ahead.result();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->config.pci[0].host, bdf_of(kSecond));
    EXPECT_TRUE(behind.is_waiting());
  }
  first.reset();
  EXPECT_TRUE(behind.result());
}

TEST_F(TakeCardsTest, WhoDoesNotWaitDoesNotPushIn) {
  auto first = std::make_optional(hold(kFirst));
  const auto second = hold(kSecond);
  Waiter both(host_, guest("both", {wanting("any-gpu"), wanting("any-gpu")}), 600s);
  ASSERT_TRUE(both.is_waiting());
  first.reset();
  const auto taken = take({wanting("any-gpu")});
  ASSERT_FALSE(taken) << "the first card is kept for who waits for two";
  EXPECT_THAT(taken.error().to_string(), HasSubstr("0000:01:00.0: awaited by the guest both"));
  both.signal(SIGTERM);
  EXPECT_TRUE(both.result()->signal);
  EXPECT_TRUE(take({wanting("any-gpu")}));
}

TEST_F(TakeCardsTest, FolderOfTheStateIsMade) {
  std::filesystem::remove_all(host_.path("/run/gpuvm"));
  if (::geteuid() == 0) {
    EXPECT_TRUE(take({wanting("any-gpu")}));
  }
}

}  // namespace
}  // namespace gpuvm::take_cards_test
