// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_server.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/base/text.hpp"
#include "vmm/owner/card_files.hpp"

namespace gpuvm {
namespace {

using owner::Request;

/// Of a request that is about a function.
std::optional<std::uint32_t> function_of(const Request& request) {
  if (const auto* const mark = std::get_if<owner::MarkFailed>(&request)) {
    return mark->function;
  }
  if (const auto* const check = std::get_if<owner::CheckLink>(&request)) {
    return check->function;
  }
  if (const auto* const retrain = std::get_if<owner::RetrainLink>(&request)) {
    return retrain->function;
  }
  return std::nullopt;
}

/// Of a request that is about a card.
std::optional<std::uint32_t> card_of(const Request& request) {
  if (const auto* const take = std::get_if<owner::TakeCard>(&request)) {
    return take->card;
  }
  if (const auto* const give = std::get_if<owner::GiveBackCard>(&request)) {
    return give->card;
  }
  if (const auto* const ask = std::get_if<owner::AskCard>(&request)) {
    return ask->card;
  }
  if (const auto* const fetch = std::get_if<owner::FetchCardFile>(&request)) {
    return fetch->card;
  }
  return std::nullopt;
}

}  // namespace

OwnerServer::OwnerServer(Owner& duties, UniqueFd socket, std::function<Clock::time_point()> now,
                         std::uint32_t cards)
    : duties_(duties),
      socket_(std::move(socket)),
      now_(std::move(now)),
      cards_(cards),
      filled_(now_()) {}

std::chrono::milliseconds OwnerServer::rest() {
  const auto now = now_();
  const auto due = (now - filled_) / kEvery;
  if (due > 0) {
    const bool is_full = due >= kBurst || tokens_ + static_cast<unsigned>(due) >= kBurst;
    tokens_ = is_full ? kBurst : tokens_ + static_cast<unsigned>(due);
    filled_ = is_full ? now : filled_ + due * kEvery;
  }
  if (tokens_ > 0) {
    return std::chrono::milliseconds(0);
  }
  return std::chrono::ceil<std::chrono::milliseconds>(filled_ + kEvery - now);
}

OwnerServer::Outcome OwnerServer::violate(std::string what) {
  violation_ = std::move(what);
  return Outcome::kViolation;
}

OwnerServer::Outcome OwnerServer::serve() {
  if (rest().count() > 0) {
    return Outcome::kNothing;
  }
  owner::Packet packet;
  switch (owner::receive_packet(socket_.get(), packet)) {
    case owner::ReceiveOutcome::kNothing:
      return Outcome::kNothing;
    case owner::ReceiveOutcome::kGone:
      return Outcome::kClosed;
    case owner::ReceiveOutcome::kTooMuch:
      return violate("a packet with more bytes or descriptors than any request has");
    case owner::ReceiveOutcome::kReceived:
      break;
  }
  --tokens_;
  const auto numbered = owner::decode(packet.bytes);
  if (!numbered) {
    return violate(numbered.error().message());
  }
  if (packet.fds.size() != owner::descriptors_of(numbered->request)) {
    return violate("a request with other descriptors than it has");
  }
  if (owner::is_before_guest(numbered->request) == has_guest_run_) {
    return violate(has_guest_run_ ? "a request of the time before the guest"
                                  : "a request of the time when the guest runs");
  }
  return carry_out(numbered->number, numbered->request, std::move(packet.fds));
}

OwnerServer::Outcome OwnerServer::answer(std::uint32_t number, const Status& status,
                                         std::uint32_t value, const UniqueFd& file) {
  owner::Answer answer;
  answer.number = number;
  answer.value = value;
  if (!status) {
    answer.error = status.error().kind();
    answer.text = terminal_text(status.error().to_string());
  }
  const std::array<int, 1> fds{file.get()};
  const auto sent = std::span<const int>(fds).first(file ? 1 : 0);
  switch (owner::send_packet(socket_.get(), owner::encode(answer), sent)) {
    case owner::SendOutcome::kSent:
      return Outcome::kServed;
    case owner::SendOutcome::kGone:
      return Outcome::kClosed;
    case owner::SendOutcome::kFull:
      break;
  }
  return violate("requests whose answers nobody fetches");
}

OwnerServer::Outcome OwnerServer::carry_out(std::uint32_t number, const Request& request,
                                            std::vector<UniqueFd> fds) {
  if (owner::is_before_guest(request)) {
    std::uint32_t value = 0;
    const Status done = do_before_guest(request, std::move(fds), value);
    return answer(number, done, value);
  }
  if (const auto* const replace = std::get_if<owner::ReplaceFile>(&request)) {
    return replace_file(number, replace->file, fds.front());
  }
  if (const auto* const open = std::get_if<owner::OpenFile>(&request)) {
    return open_file(number, open->file);
  }
  if (const auto card = card_of(request)) {
    return serve_card(number, *card, request);
  }
  const auto function = function_of(request);
  if (!function || *function >= functions_.size()) {
    return violate("a function that was not handed over");
  }
  return answer(number, do_for_function(request, functions_[*function]));
}

OwnerServer::Outcome OwnerServer::replace_file(std::uint32_t number, std::uint32_t file,
                                               const UniqueFd& contents) {
  if (file >= files_.size() || files_[file].use != FileUse::kReplace) {
    return violate("a file to replace that was not declared so");
  }
  const auto bytes = owner::read_sealed_file(contents.get(), kMostContents);
  if (!bytes) {
    return violate(bytes.error().message());
  }
  return answer(number, duties_.replace_file(files_[file].number, *bytes));
}

OwnerServer::Outcome OwnerServer::open_file(std::uint32_t number, std::uint32_t file) {
  if (file >= files_.size() || files_[file].use != FileUse::kRead) {
    return violate("a file to read that was not declared so");
  }
  auto opened = duties_.open_file(files_[file].number);
  if (!opened) {
    return answer(number, opened.error());
  }
  return answer(number, {}, 0, *opened);
}

/// A card that is not in the owner's own list no monitor of ours asks for.
OwnerServer::Outcome OwnerServer::serve_card(std::uint32_t number, std::uint32_t card,
                                             const Request& request) {
  if (card >= cards_) {
    return violate("a card that its configuration does not name");
  }
  if (const auto* const fetch = std::get_if<owner::FetchCardFile>(&request)) {
    const auto file = fetch_file(*fetch);
    return file ? answer(number, {}, file->value, file->file) : answer(number, file.error());
  }
  if (std::holds_alternative<owner::AskCard>(request)) {
    const auto idle = duties_.is_card_idle(card);
    return idle ? answer(number, {}, *idle ? 1 : 0) : answer(number, idle.error());
  }
  return answer(number, std::holds_alternative<owner::TakeCard>(request)
                            ? duties_.take_card(card)
                            : duties_.give_back_card(card));
}

Result<CardFile> OwnerServer::fetch_file(const owner::FetchCardFile& fetch) {
  auto file = TRY(duties_.card_file(fetch.card, fetch.kind, fetch.index));
  if (fetch.kind != CardFileKind::kConfig) {
    return file;
  }
  const Bdf function = card_address(file.value);
  if (std::find(functions_.begin(), functions_.end(), function) != functions_.end()) {
    return file;
  }
  if (functions_.size() + files_.size() + states_ >= kMostHeld) {
    return fail(ErrorKind::kHost, "The owner takes no more than {} functions and files", kMostHeld);
  }
  functions_.push_back(function);
  return file;
}

/// `value`: of the answer.
Status OwnerServer::do_before_guest(const Request& request, std::vector<UniqueFd> fds,
                                    std::uint32_t& value) {
  const bool is_last = std::holds_alternative<owner::GuestRuns>(request);
  if (!is_last && functions_.size() + files_.size() + states_ >= kMostHeld) {
    return fail(ErrorKind::kHost, "The owner takes no more than {} functions and files", kMostHeld);
  }
  if (const auto* const hold = std::get_if<owner::HoldFunction>(&request)) {
    UniqueFd claim = hold->has_claim ? std::move(fds.front()) : UniqueFd();
    UniqueFd binding = hold->has_binding ? std::move(fds.back()) : UniqueFd();
    TRY(duties_.hold_function(hold->function, std::move(claim), std::move(binding)));
    functions_.push_back(hold->function.bdf);
  } else if (const auto* const state = std::get_if<owner::HoldState>(&request)) {
    TRY(duties_.hold_state(state->name, std::move(fds.front())));
    ++states_;
  } else if (const auto* const declare = std::get_if<owner::DeclareFile>(&request)) {
    const auto file = TRY(duties_.declare_file(declare->path, declare->use));
    files_.push_back({.number = file, .use = declare->use});
    value = static_cast<std::uint32_t>(files_.size() - 1);
  } else {
    has_guest_run_ = true;  // whatever comes of it
    TRY(duties_.guest_runs());
  }
  return {};
}

Status OwnerServer::do_for_function(const Request& request, const Bdf& function) {
  if (const auto* const mark = std::get_if<owner::MarkFailed>(&request)) {
    return duties_.mark_failed(function, terminal_text(mark->reason));
  }
  return std::holds_alternative<owner::CheckLink>(request) ? duties_.check_link(function)
                                                           : duties_.retrain_link(function);
}

}  // namespace gpuvm
