// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/card_files.hpp"

#include <utility>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// Below the rate at which an owner serves requests; a card's reset takes longer.
constexpr std::chrono::milliseconds kQuestionPause{100};
constexpr std::uint32_t kGroupsShift = 16;
constexpr std::uint32_t kFunctionsMask = 0xffff;

Status await_idle(Owner& owner, std::uint32_t card, const OwnerSleep& sleep) {
  while (!TRY(owner.is_card_idle(card))) {
    sleep(kQuestionPause);
  }
  return {};
}

Result<CardFiles::Function> fetch_function(Owner& owner, std::uint32_t card, std::uint32_t index) {
  CardFiles::Function function;
  auto device = TRY(owner.card_file(card, CardFileKind::kDevice, index));
  auto config = TRY(owner.card_file(card, CardFileKind::kConfig, index));
  auto resource = TRY(owner.card_file(card, CardFileKind::kResource, index));
  function.bdf = card_address(config.value);
  function.group = device.value;
  function.device = std::move(device.file);
  function.config = std::move(config.file);
  function.resource = std::move(resource.file);
  return function;
}

Result<CardFiles> fetch_files(Owner& owner, std::uint32_t card) {
  CardFiles files;
  auto container = TRY(owner.card_file(card, CardFileKind::kContainer, 0));
  const std::uint32_t functions = container.value & kFunctionsMask;
  const std::uint32_t groups = container.value >> kGroupsShift;
  if (functions == 0 || functions > CardFiles::kMost || groups == 0 || groups > functions) {
    return fail(ErrorKind::kInternal, "The owner has taken a card of {} functions in {} groups",
                functions, groups);
  }
  files.container = std::move(container.file);
  for (std::uint32_t i = 0; i < groups; ++i) {
    auto group = TRY(owner.card_file(card, CardFileKind::kGroup, i));
    files.groups.push_back({.number = group.value, .file = std::move(group.file)});
  }
  for (std::uint32_t i = 0; i < functions; ++i) {
    files.functions.push_back(TRY(fetch_function(owner, card, i)));
  }
  return files;
}

}  // namespace

std::uint32_t card_address(const Bdf& function) {
  return std::uint32_t{function.segment} << 16 | std::uint32_t{function.bus} << 8 |
         function.devfn();
}

Bdf card_address(std::uint32_t number) {
  Bdf function;
  function.segment = static_cast<std::uint16_t>(number >> 16);
  function.bus = static_cast<std::uint8_t>(number >> 8 & 0xff);
  function.device = static_cast<std::uint8_t>(number >> 3 & 0x1f);
  function.function = static_cast<std::uint8_t>(number & 7);
  return function;
}

Result<CardFiles> take_card_from(Owner& owner, std::uint32_t card, const OwnerSleep& sleep) {
  TRY(owner.take_card(card));
  TRY(await_idle(owner, card, sleep));
  auto files = fetch_files(owner, card);
  if (!files) {
    const Error why = files.error();
    if (const Status back = give_card_back_to(owner, card, sleep); !back) {
      log::error("{}", back.error().to_string());
    }
    return why;
  }
  return files;
}

Status give_card_back_to(Owner& owner, std::uint32_t card, const OwnerSleep& sleep) {
  TRY(owner.give_back_card(card));
  return await_idle(owner, card, sleep);
}

}  // namespace gpuvm
