// SPDX-License-Identifier: Apache-2.0
// Tickets: their order, those of processes that are gone, and what others write there.
#include "vmm/cards/queue.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/vmm/cards/cards_fixture.hpp"

namespace gpuvm::queue_test {
namespace {

using cards_fixture::CardHost;
using testing::ElementsAre;
using testing::IsEmpty;

const Bdf kCard = bdf_of("0000:01:00.0");
const Bdf kOther = bdf_of("0000:02:00.0");

class QueueTest : public testing::Test {
 protected:
  QueueLock lock() {
    auto taken = QueueLock::try_take(host_);
    EXPECT_TRUE(taken && *taken);
    return *std::move(taken).value();
  }
  QueueTicket ticket(const QueueLock& held, const std::string& owner, std::vector<Bdf> wants) {
    auto taken = QueueTicket::take(host_, held,
                                   {.owner = owner, .pid = ::getpid(), .wants = std::move(wants)},
                                   waiting_guests(host_, held));
    EXPECT_TRUE(taken) << taken.error().to_string();
    return std::move(taken).value();
  }
  CardHost host_;
};

TEST_F(QueueTest, LockHasOneOwnerAndLeavesNothing) {
  {
    const auto held = lock();
    const auto second = QueueLock::try_take(host_);
    ASSERT_TRUE(second) << second.error().to_string();
    EXPECT_FALSE(*second);
  }
  EXPECT_TRUE(QueueLock::try_take(host_).value().has_value());
  EXPECT_THAT(host_.list("/run/gpuvm"), IsEmpty());
}

// Every user of a host may read the folder, and lock what he may read.
TEST_F(QueueTest, LockIsNotForThoseWhoMayOnlyRead) {
  const std::string folder = host_.path("/run/gpuvm");
  const UniqueFd read(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(read.get(), LOCK_EX | LOCK_NB), 0);
  const auto held = lock();
  struct stat status {};
  ASSERT_EQ(::stat(QueueLock::path(host_).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

// Another user could make tickets, and take the lock's name first.
TEST_F(QueueTest, FolderThatAGroupMayWriteIsRefused) {
  ASSERT_EQ(::chmod(host_.path("/run/gpuvm").c_str(), 0775), 0);
  const auto refused = QueueLock::try_take(host_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), testing::HasSubstr("chmod go-w"));
}

TEST_F(QueueTest, LockOfAKilledProcessIsTaken) {
  host_.file("/run/gpuvm/queue", "");
  { const auto held = lock(); }
  EXPECT_THAT(host_.list("/run/gpuvm"), IsEmpty());
}

TEST_F(QueueTest, TicketsAreInOrderOfArrivalAndGo) {
  const auto held = lock();
  auto first = std::make_optional(ticket(held, "the guest a", {kCard}));
  {
    const auto second = ticket(held, "the guest b", {kOther, kCard});
    const auto guests = waiting_guests(host_, held);
    ASSERT_EQ(guests.size(), 2U);
    EXPECT_EQ(guests[0].owner, "the guest a");
    EXPECT_EQ(guests[0].pid, ::getpid());
    EXPECT_THAT(guests[1].wants, ElementsAre(kOther, kCard));
    EXPECT_LT(guests[0].number, guests[1].number);
    EXPECT_TRUE(guests[0].is_after(kCard));
    EXPECT_FALSE(guests[0].is_after(kOther));
    EXPECT_THAT(host_.state(), ElementsAre("ticket-0000000001", "ticket-0000000002"));
    first.reset();
    const auto third = ticket(held, "the guest c", {});
    EXPECT_GT(third.number(), second.number()) << "a number that has become free is no place ahead";
  }
  EXPECT_THAT(host_.state(), IsEmpty());
}

TEST_F(QueueTest, TicketTellsWhatIsWantedNow) {
  const auto held = lock();
  auto one = ticket(held, "the guest a", {kCard, kOther});
  ASSERT_TRUE(one.want(held, {kOther}));
  EXPECT_THAT(waiting_guests(host_, held).at(0).wants, ElementsAre(kOther));
  ASSERT_TRUE(one.want(held, std::vector<Bdf>(1025, kCard)));
  EXPECT_TRUE(waiting_guests(host_, held).at(0).wants_any) << "too many for a file";
}

TEST_F(QueueTest, TicketOfAKilledProcessCountsNoMore) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto held = QueueLock::try_take(host_);
    auto taken = QueueTicket::take(
        host_, **held, {.owner = "the guest a", .pid = ::getpid(), .wants_any = true}, {});
    held.value().reset();
    const char byte = taken ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) == 1) {
      ::pause();
    }
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  {
    const auto held = lock();
    ASSERT_EQ(waiting_guests(host_, held).size(), 1U);
    EXPECT_EQ(visible_guests(host_).size(), 1U) << "also for who only looks";
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(visible_guests(host_), IsEmpty());
  EXPECT_THAT(host_.state(), ElementsAre("ticket-0000000001")) << "who looks changes nothing";
  const auto held = lock();
  EXPECT_THAT(waiting_guests(host_, held), IsEmpty());
  EXPECT_THAT(host_.state(), IsEmpty());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(QueueTest, OddNamesAndTextsHarmNobody) {
  host_.file("/run/gpuvm/ticket-1", "owner=x\n");
  host_.file("/run/gpuvm/ticket-00000000ab", "owner=x\n");
  host_.file("/run/gpuvm/ticket-00000000001", "owner=x\n");
  host_.file("/run/gpuvm/precious", "keep");
  host_.link("/run/gpuvm/ticket-0000000005", "precious");
  const auto held = lock();
  EXPECT_THAT(waiting_guests(host_, held), IsEmpty());
  EXPECT_EQ(host_.read("/run/gpuvm/precious").value(), "keep") << "links are not followed";
  EXPECT_EQ(host_.state().size(), 5U);
  for (const char* text :
       {"", "owner=a\npid=1\n", "owner=a\npid=1\nwants=0000:01:00.0", "\n\nen"}) {
    EXPECT_TRUE(WaitingGuest::parse(3, text).wants_any) << text;
  }
  const auto odd = WaitingGuest::parse(3, "owner=a\npid=x\nwants=0000:01:00.0 zz\nend\nwants=\n");
  EXPECT_TRUE(odd.wants_any);
  EXPECT_EQ(odd.pid, 0);
  EXPECT_EQ(odd.name(), "another gpuvm");
}

TEST_F(QueueTest, TextIsReadAsItWasWritten) {
  const WaitingGuest guest{.owner = "the guest a", .pid = 12, .wants = {kCard, kOther}};
  const auto again = WaitingGuest::parse(0, guest.to_text() + "wants=any\n");
  EXPECT_EQ(again.owner, guest.owner);
  EXPECT_EQ(again.pid, 12);
  EXPECT_EQ(again.wants, guest.wants);
  EXPECT_FALSE(again.wants_any);
}

}  // namespace
}  // namespace gpuvm::queue_test
