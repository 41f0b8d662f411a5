// SPDX-License-Identifier: Apache-2.0
// gpuvm pool, and the way of `gpuvm run --warm` and `gpuvm test --warm` to one of its guests.
#include <algorithm>
#include <chrono>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/config/config.hpp"
#include "vmm/pool/pool.hpp"
#include "vmm/pool/pool_config.hpp"
#include "vmm/pool/warm_run.hpp"

namespace gpuvm::cli {
namespace {

/// What --pin stands for: memory is pinned before a card is there.
constexpr const char* kPinEarly = "machine.pin_memory=\"early\"";
constexpr int kEndedBySignal = 128;

RunResult without_cards(const Error& error) {
  RunResult result;
  result.end = RunEnd::kFailed;
  result.exit_status = exit_status(error.kind());
  result.error = error;
  return result;
}

}  // namespace

Result<int> pool_verb(const PoolArguments& arguments) {
  TRY(set_up_log(arguments.log));
  pool::PoolOptions options;
  options.config = TRY(load_config(arguments.config_file, arguments.overrides));
  options.machine = pool::machine_text(options.config);
  if (arguments.pin) {  // which is the pool's affair, and no other machine
    auto overrides = arguments.overrides;
    overrides.emplace_back(kPinEarly);
    options.config = TRY(load_config(arguments.config_file, overrides));
  }
  options.config_file = arguments.config_file;
  options.name = arguments.name.empty() ? options.config.name : arguments.name;
  options.book.size = arguments.size;
  return pool::run_pool(options);
}

RunResult run_warm_with_cards(const WarmChoice& choice, const Config& config,
                              const RunOptions& options, std::chrono::milliseconds& waited) {
  if (const auto able = pool::check_warm_job(config); !able) {
    return without_cards(able.error());
  }
  const HostSystem host;
  const auto began = std::chrono::steady_clock::now();
  auto cards = take_cards_and_tell(host, config, choice.wait);
  waited = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 began);
  if (!cards) {
    return without_cards(cards.error());
  }
  if (cards->signal) {
    RunResult result;
    result.end = RunEnd::kStartBrokenOff;
    result.signal = *cards->signal;
    result.exit_status = kEndedBySignal + *cards->signal;
    return result;
  }
  pool::WarmRun warm;
  warm.pool = choice.pool;
  warm.command = choice.command;
  warm.limit = std::max<std::chrono::milliseconds>(
      warm.limit, choice.wait.value_or(std::chrono::seconds(0)) - waited);
  for (const PciConfig& slot : cards->config.pci) {
    warm.cards.push_back(slot.host);
  }
  warm.give_up_claims = [&cards] { cards->claims = DeviceClaims(); };
  return pool::run_warm(cards->config, options, warm);
}

}  // namespace gpuvm::cli
