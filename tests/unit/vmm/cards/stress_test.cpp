// SPDX-License-Identifier: Apache-2.0
// Many processes over two cards, some of which are killed: no card is given twice, who came first
// is served first, and nothing is left.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <random>
#include <thread>

#include "tests/unit/vmm/cards/cards_fixture.hpp"
#include "vmm/cards/take_cards.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::cards_stress_test {
namespace {

using namespace std::chrono_literals;
using cards_fixture::guest;
using cards_fixture::kFirst;
using cards_fixture::kSecond;
using cards_fixture::naming;
using cards_fixture::wanting;

constexpr int kTakers = 40;

/// What all processes see.
struct Shared {
  struct Taker {
    std::atomic<std::uint64_t> ticket;  ///< 0: none
    std::atomic<int> taken_as;          ///< how many were served before it; 0: it was not
    std::atomic<bool> is_killed;
  };
  std::array<Taker, kTakers> takers;
  std::array<std::atomic<int>, 2> holders;  ///< taker + 1 of each card
  std::atomic<int> served;
  std::atomic<int> given_twice;
};

class CardsStressTest : public testing::Test {
 protected:
  CardsStressTest() {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    shared_ = new (memory) Shared{};
    host_.add_card(kFirst, 1);
    host_.add_card(kSecond, 2);
  }
  ~CardsStressTest() override {
    ::munmap(shared_, sizeof(Shared));
    cards_fixture::unblock_end_signals();
  }

  void start(int number, const PciConfig& section) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(run_taker(number, section));
    }
    children_.push_back(child);
  }
  void kill(int number, int signal) {
    shared_->takers.at(static_cast<std::size_t>(number)).is_killed = true;
    ::kill(children_.at(static_cast<std::size_t>(number)), signal);
  }
  /// Their exit statuses, or minus the signal that ended one.
  std::vector<int> wait_for_all() {
    std::vector<int> statuses;
    for (const pid_t child : children_) {
      int status = 0;
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    return statuses;
  }
  bool have_tickets(int count) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < limit) {
      const auto with_ticket = std::count_if(shared_->takers.begin(), shared_->takers.end(),
                                             [](const auto& taker) { return taker.ticket != 0; });
      if (with_ticket >= count) {
        return true;
      }
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  std::size_t leftovers() const { return host_.state().size(); }

  cards_fixture::CardHost host_;
  Shared* shared_ = nullptr;
  std::vector<pid_t> children_;

 private:
  int run_taker(int number, const PciConfig& section) {
    auto& me = shared_->takers.at(static_cast<std::size_t>(number));
    auto taken = take_cards(host_, guest("taker-" + std::to_string(number), {section}),
                            {.wait = 300s, .on_progress = [&me](const WaitProgress& progress) {
                               me.ticket = progress.ticket;
                             }});
    if (!taken || taken->signal) {
      return taken ? 128 + *taken->signal : 69;
    }
    auto& holder = shared_->holders.at(taken->config.pci.at(0).host.bus - 1U);
    const int before = holder.exchange(number + 1);
    if (before != 0 && !shared_->takers.at(static_cast<std::size_t>(before - 1)).is_killed) {
      ++shared_->given_twice;
    }
    me.taken_as = ++shared_->served;
    std::this_thread::sleep_for(std::chrono::milliseconds(number % 7));
    int mine = number + 1;
    holder.compare_exchange_strong(mine, 0);
    return 0;
  }
};

TEST_F(CardsStressTest, OneCardIsServedInOrderOfArrivalWhoeverIsKilled) {
  auto held = std::make_optional(DeviceClaim::take(host_, bdf_of(kFirst), "the test").value());
  for (int i = 0; i < kTakers; ++i) {
    start(i, naming(kFirst));
  }
  ASSERT_TRUE(have_tickets(kTakers));
  EXPECT_EQ(leftovers(), 1U + kTakers);
  for (int i = 3; i < kTakers; i += 5) {
    kill(i, i % 2 == 0 ? SIGKILL : SIGTERM);
  }
  held.reset();
  const auto statuses = wait_for_all();
  std::vector<std::pair<std::uint64_t, int>> served;
  for (std::size_t i = 0; i < kTakers; ++i) {
    const auto& taker = shared_->takers.at(i);
    EXPECT_EQ(taker.taken_as == 0, taker.is_killed) << "taker " << i;
    EXPECT_EQ(statuses.at(i), !taker.is_killed ? 0 : i % 2 == 0 ? -SIGKILL : 128 + SIGTERM);
    if (taker.taken_as != 0) {
      served.emplace_back(taker.ticket, taker.taken_as);
    }
  }
  std::sort(served.begin(), served.end());
  EXPECT_TRUE(std::is_sorted(served.begin(), served.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; }));
  EXPECT_EQ(shared_->given_twice, 0);
  EXPECT_EQ(leftovers(), 0U);
}

TEST_F(CardsStressTest, NoCardIsGivenTwiceWhileTakersAreKilledAnywhere) {
  std::mt19937 random(static_cast<std::uint32_t>(::getpid()));
  for (int i = 0; i < kTakers; ++i) {
    start(i, i % 4 == 0 ? naming(kFirst) : i % 4 == 1 ? naming(kSecond) : wanting("any-gpu"));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
    if (random() % 4 == 0) {
      kill(static_cast<int>(random() % static_cast<unsigned>(i + 1)), SIGKILL);
    }
  }
  const auto statuses = wait_for_all();
  for (std::size_t i = 0; i < kTakers; ++i) {
    const auto& taker = shared_->takers.at(i);
    EXPECT_TRUE(statuses.at(i) == 0 || taker.is_killed) << "taker " << i << ": " << statuses.at(i);
  }
  EXPECT_EQ(shared_->given_twice, 0);
  // The last of all may have been killed with something in its hands: the next one clears it away.
  for (const auto& card : {kFirst, kSecond}) {
    EXPECT_TRUE(take_cards(host_, guest("last", {naming(card)}), {.wait = 5s})) << card;
  }
  EXPECT_EQ(leftovers(), 0U);
}

}  // namespace
}  // namespace gpuvm::cards_stress_test
