// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/warm_lease.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "vmm/api_client/api_request.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/pool/pool_config.hpp"

namespace gpuvm::pool {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kConnectTime{5000};
constexpr milliseconds kSayTime{5000};
/// Claim, bind, reset, verify, map: minutes for a card with much memory behind it.
constexpr std::chrono::minutes kAttachTime{10};
constexpr unsigned kFirstSuccess = 200;
constexpr unsigned kFirstOther = 300;

/// Where a pool of this name can be: this user's own place, and others that he may use.
Result<std::vector<std::string>> places_of(const std::string& pool) {
  if (pool.find('/') != std::string::npos) {
    return std::vector{pool};
  }
  const auto file = std::filesystem::path(TRY(pool_socket_path(pool))).filename().string();
  std::vector<std::string> places;
  for (const std::string& folder : run_folders()) {
    places.push_back(fmt::format("{}/{}", folder, file));
  }
  return places;
}

Result<UniqueFd> connect_to_pool(const std::string& pool) {
  int worst = ENOENT;
  std::string where = pool;
  for (const std::string& place : TRY(places_of(pool))) {
    auto connection = connect_to_guest(place, kConnectTime);
    if (connection.fd) {
      return std::move(connection.fd);
    }
    if (connection.error == ECONNREFUSED) {
      remove_dead_socket(place);
    } else if (connection.error != ENOENT) {
      worst = connection.error;
      where = place;
    }
  }
  if (worst != ENOENT) {
    return fail_errno(ErrorKind::kHost, "Cannot ask the pool at " + where, worst);
  }
  return fail(ErrorKind::kHost,
              "There is no pool {}: start it (gpuvm pool CONFIG --size N), or run without --warm",
              pool);
}

/// The pool's answer, or an interruption.
Status await_answer(LineReceiver& lines, int socket, milliseconds limit, int interrupt,
                    const std::string& pool) {
  const auto end = Clock::now() + limit;
  while (true) {
    std::array<pollfd, 2> waits{};
    waits[0] = {.fd = socket, .events = POLLIN, .revents = 0};
    waits[1] = {.fd = interrupt, .events = POLLIN, .revents = 0};
    const auto rest = std::chrono::ceil<milliseconds>(end - Clock::now());
    ::poll(waits.data(), waits.size(),
           static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 3'600'000)));
    if (waits[1].revents != 0) {
      return fail(ErrorKind::kCancelled, "The wait for a guest of the pool {} was broken off",
                  pool);
    }
    if (waits[0].revents != 0) {
      const auto progress = lines.receive(socket);
      if (progress == LineReceiver::Progress::kLine) {
        return {};
      }
      if (progress != LineReceiver::Progress::kMore) {
        return fail(ErrorKind::kHost, "The pool {} has ended without an answer: see its log", pool);
      }
    }
    if (Clock::now() >= end) {
      return fail(ErrorKind::kHost,
                  "The pool {} had no guest within {} s: are its guests too few (--size), or do "
                  "they not come up (see its log)?",
                  pool, std::chrono::duration_cast<std::chrono::seconds>(limit).count());
    }
  }
}

}  // namespace

Result<WarmLease> WarmLease::take(const std::string& pool, const std::string& machine,
                                  milliseconds limit, int interrupt) {
  const auto socket = TRY(connect_to_pool(pool));
  // A pool that turns everybody away may have closed already: what it said counts.
  auto asked = send_line(socket.get(), to_line(TakeRequest{.machine = machine}), kSayTime);
  LineReceiver lines(LineReceiver::Descriptors::kTaken);
  auto answered = await_answer(lines, socket.get(), limit, interrupt, pool);
  if (!answered) {
    return asked ? std::move(answered).error() : std::move(asked).error();
  }
  auto guest = TRY(read_take_answer(lines.line()));
  auto lease = lines.take_descriptor();
  if (!lease) {
    return fail(ErrorKind::kHost, "The pool {} gave a guest without its lease: see its log", pool);
  }
  return WarmLease(std::move(guest), std::move(lease));
}

Status WarmLease::say(const LeaseWord& word) const {
  TRY_CONTEXT(send_line(socket_.get(), to_line(word), kSayTime), "The warm guest " + guest_.name);
  return {};
}

LineReceiver::Progress WarmLease::hear(MemberWord& word) {
  const auto progress = lines_.receive(socket_.get());
  if (progress != LineReceiver::Progress::kLine) {
    return progress;
  }
  auto read = read_member_word(lines_.line());
  if (!read) {
    return LineReceiver::Progress::kWrong;
  }
  word = std::move(*read);
  return progress;
}

Result<MemberWord> WarmLease::await(milliseconds limit) {
  TRY(receive_line(lines_, socket_.get(), limit, "The warm guest " + guest_.name));
  auto word = read_member_word(lines_.line());
  if (!word) {
    return fail(ErrorKind::kHost, "The warm guest {} says what is no word of a guest", guest_.name);
  }
  return *std::move(word);
}

Status WarmLease::attach(const std::string& host_address) const {
  auto connection = connect_to_guest(guest_.socket, kConnectTime);
  if (!connection.fd) {
    return fail_errno(ErrorKind::kHost, "Cannot ask the warm guest at " + guest_.socket,
                      connection.error);
  }
  const auto answer =
      TRY_CONTEXT(ask(connection.fd, "PUT", fmt::format("/v1/attach?device={}", host_address),
                      {.time = kAttachTime}),
                  fmt::format("Plugging {} into {}", host_address, guest_.name));
  if (answer.status < kFirstSuccess || answer.status >= kFirstOther) {
    return refusal(answer, guest_.name)
        .with_context(fmt::format("Plugging {} into a warm guest", host_address));
  }
  return {};
}

}  // namespace gpuvm::pool
