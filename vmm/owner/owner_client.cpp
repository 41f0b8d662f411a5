// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_client.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/owner/card_files.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm {
namespace {

Error gone_error() {
  return fail(ErrorKind::kHost,
              "The owner's process is gone or does not answer: the guest cannot keep its devices");
}

}  // namespace

Result<owner::Answer> OwnerClient::await_answer(std::vector<UniqueFd>& fds) {
  const auto end = std::chrono::steady_clock::now() + patience_;
  owner::Packet packet;
  for (;;) {
    const auto outcome = owner::receive_packet(socket_.get(), packet);
    if (outcome == owner::ReceiveOutcome::kReceived) {
      fds = std::move(packet.fds);
      return owner::decode_answer(packet.bytes);
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (outcome != owner::ReceiveOutcome::kNothing || left.count() <= 0) {
      return gone_error();
    }
    pollfd waits{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waits, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1000))) < 0 &&
        errno != EINTR) {
      return gone_error();
    }
  }
}

/// An answer that did not come in time could be taken for the next one's: nothing is asked then.
Result<OwnerClient::Done> OwnerClient::ask(const owner::Request& request,
                                           std::span<const int> fds) {
  if (is_broken_) {
    return gone_error();
  }
  is_broken_ = true;
  const std::uint32_t number = ++last_number_;
  const auto sent = owner::send_packet(socket_.get(), owner::encode(number, request), fds);
  if (sent != owner::SendOutcome::kSent) {
    return gone_error();
  }
  Done done;
  const auto answer = TRY(await_answer(done.fds));
  if (answer.number != number) {
    return fail(ErrorKind::kInternal, "The owner has answered another request");
  }
  is_broken_ = false;
  if (answer.error) {
    return Error(*answer.error, answer.text);
  }
  done.value = answer.value;
  return done;
}

Result<std::uint32_t> OwnerClient::number_of(const Bdf& function) const {
  const auto found = std::find(functions_.begin(), functions_.end(), function);
  if (found == functions_.end()) {
    return fail(ErrorKind::kInternal, "{} was not handed over to the owner", function.to_string());
  }
  return static_cast<std::uint32_t>(found - functions_.begin());
}

Status OwnerClient::hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) {
  std::vector<int> fds;
  for (const UniqueFd* const fd : {&claim, &binding}) {
    if (*fd) {
      fds.push_back(fd->get());
    }
  }
  const MutexLock lock(mutex_);
  TRY(ask(owner::HoldFunction{.function = function,
                              .has_claim = static_cast<bool>(claim),
                              .has_binding = static_cast<bool>(binding)},
          fds));
  functions_.push_back(function.bdf);
  return {};
}

Status OwnerClient::hold_state(const std::string& name, UniqueFd file) {
  const std::array<int, 1> fds{file.get()};
  const MutexLock lock(mutex_);
  TRY(ask(owner::HoldState{.name = name}, fds));
  return {};
}

Result<std::uint32_t> OwnerClient::declare_file(const std::string& path, FileUse use) {
  const MutexLock lock(mutex_);
  return TRY(ask(owner::DeclareFile{.path = path, .use = use})).value;
}

Status OwnerClient::guest_runs() {
  const MutexLock lock(mutex_);
  TRY(ask(owner::GuestRuns{}));
  return {};
}

Status OwnerClient::mark_failed(const Bdf& function, std::string_view reason) {
  const MutexLock lock(mutex_);
  const auto number = TRY(number_of(function));
  TRY(ask(owner::MarkFailed{.function = number, .reason = std::string(reason)}));
  return {};
}

Status OwnerClient::check_link(const Bdf& function) {
  const MutexLock lock(mutex_);
  TRY(ask(owner::CheckLink{.function = TRY(number_of(function))}));
  return {};
}

Status OwnerClient::retrain_link(const Bdf& function) {
  const MutexLock lock(mutex_);
  TRY(ask(owner::RetrainLink{.function = TRY(number_of(function))}));
  return {};
}

Status OwnerClient::replace_file(std::uint32_t file, std::span<const std::byte> contents) {
  const auto sealed = TRY(owner::sealed_file(contents));
  const std::array<int, 1> fds{sealed.get()};
  const MutexLock lock(mutex_);
  TRY(ask(owner::ReplaceFile{.file = file}, fds));
  return {};
}

Result<UniqueFd> OwnerClient::open_file(std::uint32_t file) {
  const MutexLock lock(mutex_);
  auto done = TRY(ask(owner::OpenFile{.file = file}));
  if (done.fds.size() != 1) {
    return fail(ErrorKind::kInternal, "The owner has opened a file and not handed it over");
  }
  return std::move(done.fds.front());
}

Status OwnerClient::take_card(std::uint32_t card) {
  const MutexLock lock(mutex_);
  TRY(ask(owner::TakeCard{.card = card}));
  return {};
}

Status OwnerClient::give_back_card(std::uint32_t card) {
  const MutexLock lock(mutex_);
  TRY(ask(owner::GiveBackCard{.card = card}));
  return {};
}

Result<bool> OwnerClient::is_card_idle(std::uint32_t card) {
  const MutexLock lock(mutex_);
  return TRY(ask(owner::AskCard{.card = card})).value != 0;
}

/// Functions get their numbers here as there.
Result<CardFile> OwnerClient::card_file(std::uint32_t card, CardFileKind kind,
                                        std::uint32_t index) {
  const MutexLock lock(mutex_);
  auto done = TRY(ask(owner::FetchCardFile{.card = card, .kind = kind, .index = index}));
  if (done.fds.size() != 1) {
    return fail(ErrorKind::kInternal, "The owner has a file of a card and not handed it over");
  }
  if (kind == CardFileKind::kConfig) {
    const Bdf function = card_address(done.value);
    if (std::find(functions_.begin(), functions_.end(), function) == functions_.end()) {
      functions_.push_back(function);
    }
  }
  CardFile file;
  file.file = std::move(done.fds.front());
  file.value = done.value;
  return file;
}

}  // namespace gpuvm
