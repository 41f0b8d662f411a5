// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/console_hub.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "vmm/base/asio.hpp"

namespace gpuvm::console_hub_test {
namespace {

class ConsoleHubTest : public testing::Test {
 protected:
  void print(std::string_view text) { hub_->write(std::as_bytes(std::span(text))); }
  ConsoleHub::Viewer viewer(std::string& seen) {
    return {.output =
                [&seen](std::span<const std::byte> bytes) {
                  seen.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                },
            .input_ready = [] {}};
  }
  void run() {
    context_.restart();
    context_.run();
  }

  boost::asio::io_context context_;
  std::shared_ptr<ConsoleHub> hub_ = std::make_shared<ConsoleHub>(context_, nullptr);
};

TEST_F(ConsoleHubTest, TheTailIsTheLastThatWasPrinted) {
  for (int i = 0; i < 100; ++i) {
    print(std::string(1000, static_cast<char>('a' + i % 26)));
  }
  std::string seen;
  hub_->attach(viewer(seen));
  EXPECT_EQ(seen.size(), ConsoleHub::kTail);
  EXPECT_TRUE(seen.ends_with(std::string(1000, static_cast<char>('a' + 99 % 26))));
  print(std::string(3 * ConsoleHub::kTail, 'x') + "y");
  std::string later;
  hub_->attach(viewer(later));
  EXPECT_EQ(later, std::string(ConsoleHub::kTail - 1, 'x') + "y");
}

// Whatever was printed when: a viewer sees each byte once.
TEST_F(ConsoleHubTest, AnAttachBetweenPrintingAndShowingLosesAndRepeatsNothing) {
  std::string first;
  std::string second;
  hub_->attach(viewer(first));
  print("a");
  hub_->attach(viewer(second));
  print("b");
  run();
  EXPECT_EQ(first, "ab");
  EXPECT_EQ(second, "ab");
}

TEST_F(ConsoleHubTest, ANewViewerAfterTheLastOneLeftSeesNoMoreThanTheTail) {
  std::string first;
  const auto number = hub_->attach(viewer(first));
  print("a");
  hub_->detach(number);
  std::string second;
  hub_->attach(viewer(second));
  run();
  EXPECT_EQ(first, "");
  EXPECT_EQ(second, "a");
}

TEST_F(ConsoleHubTest, AControlThreadThatIsBusyBoundsWhatWaits) {
  std::string seen;
  std::uint64_t missed = 0;
  auto watching = viewer(seen);
  watching.missed = [&](std::uint64_t bytes) {
    EXPECT_EQ(seen.size(), ConsoleHub::kMostPending) << "it is told behind what came before";
    missed += bytes;
  };
  hub_->attach(std::move(watching));
  const std::string much(3 * ConsoleHub::kMostPending / 2, 'x');
  print(much);
  print(much);
  run();
  EXPECT_EQ(seen.size(), ConsoleHub::kMostPending);
  EXPECT_EQ(missed, 2 * ConsoleHub::kMostPending);
  print("on");
  run();
  EXPECT_TRUE(seen.ends_with("xon"));
  EXPECT_EQ(missed, 2 * ConsoleHub::kMostPending);
}

TEST_F(ConsoleHubTest, AViewerMayLeaveWhileItIsTold) {
  std::uint64_t number = 0;
  int calls = 0;
  number =
      hub_->attach({.output = [&](std::span<const std::byte>) { ++calls, hub_->detach(number); },
                    .input_ready = [] {}});
  print("a");
  run();
  print("b");
  run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(hub_->viewers(), 0U);
}

TEST_F(ConsoleHubTest, ANewViewerSeesAllWhereTheOnlyOtherOneLeavesMeanwhile) {
  std::uint64_t first = 0;
  first = hub_->attach({.output = [&](auto) { hub_->detach(first); }, .input_ready = [] {}});
  print("a");
  std::string second;
  hub_->attach(viewer(second));
  print("b");
  run();
  EXPECT_EQ(second, "ab");
}

TEST_F(ConsoleHubTest, ThreadsPrintWhileViewersComeAndGo) {
  const auto guard = boost::asio::make_work_guard(context_);
  std::thread control([this] { context_.run(); });
  std::vector<std::thread> printers;
  for (int i = 0; i < 4; ++i) {
    printers.emplace_back([this] {
      for (int j = 0; j < 1000; ++j) {
        print("x");
        hub_->resume_input();
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    boost::asio::post(context_, [this] {
      const auto number = hub_->attach({.output = [](auto) {}, .input_ready = [] {}});
      boost::asio::post(context_, [this, number] { hub_->detach(number); });
    });
  }
  for (auto& printer : printers) {
    printer.join();
  }
  boost::asio::post(context_, [this] { context_.stop(); });
  control.join();
}

}  // namespace
}  // namespace gpuvm::console_hub_test
