// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/queue.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sstream>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kTicketDigits = 10;
constexpr std::size_t kLongestTicket = 32 << 10;  // as StateFile reads
constexpr std::size_t kMostWanted = 1024;         // more do not fit
constexpr std::size_t kMostTickets = 4096;
constexpr std::string_view kAnyCard = "any";

std::string ticket_name(std::uint64_t number) {
  return fmt::format("{}{:0{}}", kTicketPrefix, number, kTicketDigits);
}

/// Ascending: the names have as many digits.
std::vector<std::uint64_t> ticket_numbers(const HostSystem& host) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : host.list(kStateDirectory)) {
    if (const auto number = ticket_number(name); number && numbers.size() < kMostTickets) {
      numbers.push_back(*number);
    }
  }
  return numbers;
}

std::string path_of(const HostSystem& host, std::uint64_t number) {
  return host.path(fmt::format("{}/{}", kStateDirectory, ticket_name(number)));
}

/// For reading: its close wakes nobody who waits for a change.
UniqueFd open_ticket(const HostSystem& host, std::uint64_t number) {
  return UniqueFd(::open(path_of(host, number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
}

WaitingGuest read_ticket(const UniqueFd& file, std::uint64_t number) {
  std::string text(kLongestTicket, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return WaitingGuest::parse(number, text);
}

/// For its owner alone: whoever may read a file can lock it. Opened for reading, so that its close
/// wakes nobody.
Result<UniqueFd> open_lock(const std::string& path) {
  constexpr mode_t kMode = S_IRUSR | S_IWUSR;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode));
  return fd ? Result<UniqueFd>(std::move(fd))
            : Result<UniqueFd>(fail_errno(ErrorKind::kHost, "Cannot open " + path));
}

/// Its last owner may have removed it between our open and our lock.
bool is_lock_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

void read_wants(std::string_view text, WaitingGuest& guest) {
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word && guest.wants.size() < kMostWanted;) {
    const auto bdf = Bdf::parse(word);
    guest.wants_any = guest.wants_any || !bdf;
    if (bdf) {
      guest.wants.push_back(*bdf);
    }
  }
}

}  // namespace

std::optional<std::uint64_t> ticket_number(std::string_view name) {
  std::uint64_t number = 0;
  if (!name.starts_with(kTicketPrefix)) {
    return std::nullopt;
  }
  name.remove_prefix(kTicketPrefix.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return name.size() == kTicketDigits && error == std::errc{} && end == name.data() + name.size()
             ? std::optional(number)
             : std::nullopt;
}

bool WaitingGuest::is_after(const Bdf& identity) const {
  return wants_any || std::find(wants.begin(), wants.end(), identity) != wants.end();
}

std::string WaitingGuest::name() const {
  return pid > 0 ? fmt::format("{} (gpuvm, pid {})", owner, pid) : "another gpuvm";
}

std::string WaitingGuest::to_text() const {
  std::string cards(wants_any ? kAnyCard : "");
  for (const Bdf& bdf : wants_any ? std::vector<Bdf>() : wants) {
    cards += fmt::format("{}{}", cards.empty() ? "" : " ", bdf.to_string());
  }
  return fmt::format("owner={}\npid={}\nwants={}\n{}\n", owner, pid, cards, kStateEnd);
}

WaitingGuest WaitingGuest::parse(std::uint64_t number, std::string_view text) {
  WaitingGuest guest;
  guest.number = number;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line == kStateEnd) {
      return guest;  // what follows is the rest of an older text
    }
    const auto equals = std::min(line.find('='), line.size());
    const std::string_view key = std::string_view(line).substr(0, equals);
    const std::string_view value = std::string_view(line).substr(std::min(equals + 1, line.size()));
    if (key == "owner") {
      guest.owner = value;
    } else if (key == "pid") {
      std::from_chars(value.data(), value.data() + value.size(), guest.pid);
    } else if (key == "wants") {
      read_wants(value, guest);
    }
  }
  guest.wants_any = true;
  return guest;
}

std::string QueueLock::path(const HostSystem& host) {
  return host.path(fmt::format("{}/{}", kStateDirectory, kName));
}

Result<std::optional<QueueLock>> QueueLock::try_take(const HostSystem& host) {
  const std::string folder = host.path(kStateDirectory);
  const UniqueFd held = TRY(open_state_folder(folder));
  const std::string file = path(host);
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd fd = TRY(open_lock(file));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK || errno == EINTR) {
        return std::optional<QueueLock>();
      }
      return fail_errno(ErrorKind::kHost, "Cannot lock " + file);
    }
    if (is_lock_at(fd.get(), file)) {
      return std::optional(QueueLock(std::move(fd), file));
    }
  }
  return std::optional<QueueLock>();
}

/// Before the lock goes: who opens it now makes another.
QueueLock::~QueueLock() {
  if (file_) {
    ::unlink(path_.c_str());
  }
}

std::vector<WaitingGuest> waiting_guests(const HostSystem& host, const QueueLock& /*lock*/) {
  std::vector<WaitingGuest> guests;
  for (const std::uint64_t number : ticket_numbers(host)) {
    const UniqueFd file = open_ticket(host, number);
    if (!file) {
      continue;  // gone since, or another user's: no place that we could see the end of
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      log::debug("A gpuvm that is gone has left the ticket {}", number);
      ::unlink(path_of(host, number).c_str());
    } else {
      guests.push_back(read_ticket(file, number));
    }
  }
  return guests;
}

std::vector<WaitingGuest> visible_guests(const HostSystem& host) {
  std::vector<WaitingGuest> guests;
  for (const std::uint64_t number : ticket_numbers(host)) {
    const UniqueFd file = open_ticket(host, number);
    auto guest = file ? read_ticket(file, number) : WaitingGuest();
    if (is_state_open(host, ticket_name(number), guest.pid)) {
      guests.push_back(std::move(guest));
    }
  }
  return guests;
}

Result<QueueTicket> QueueTicket::take(const HostSystem& host, const QueueLock& /*lock*/,
                                      WaitingGuest who, const std::vector<WaitingGuest>& others) {
  who.number = 1;
  for (const WaitingGuest& other : others) {
    who.number = std::max(who.number, other.number + 1);
  }
  const std::string name = ticket_name(who.number);
  if (!ticket_number(name) || others.size() >= kMostTickets) {
    return fail(ErrorKind::kHost, "{} guests wait for cards already: the queue is full",
                others.size());
  }
  auto file = TRY(StateFile::claim(host, name, [](const std::string& path) {
    return fail(ErrorKind::kHost, "{} belongs to another process: remove it", path);
  }));
  QueueTicket ticket(std::move(file), std::move(who));
  TRY(ticket.file_->write(ticket.who_.to_text()));
  return ticket;
}

QueueTicket::QueueTicket(QueueTicket&& other) noexcept
    : file_(std::exchange(other.file_, std::nullopt)), who_(std::move(other.who_)) {}

QueueTicket::~QueueTicket() {
  if (file_) {
    file_->remove();
  }
}

Status QueueTicket::want(const QueueLock& /*lock*/, std::vector<Bdf> cards) {
  const bool is_any = cards.size() > kMostWanted;
  if (cards == who_.wants && is_any == who_.wants_any) {
    return {};
  }
  who_.wants = std::move(cards);
  who_.wants_any = is_any;
  return file_->write(who_.to_text());
}

}  // namespace gpuvm
