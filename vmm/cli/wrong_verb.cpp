// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/wrong_verb.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "vmm/base/text.hpp"

namespace gpuvm::cli {
namespace {

/// "run, validate or inspect"
std::string list_of(const std::vector<std::string_view>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

/// What to say where an option stands in front of its verb.
std::optional<std::string> early_option(std::span<const char* const> words,
                                        const std::vector<std::string_view>& verbs,
                                        const std::string& command) {
  constexpr std::string_view kOwn[] = {"-h", "--help", "--version"};
  const std::string_view first = words.empty() ? std::string_view() : words[0];
  if (!first.starts_with('-') ||
      std::find(std::begin(kOwn), std::end(kOwn), first) != std::end(kOwn)) {
    return std::nullopt;
  }
  constexpr std::string_view kLong[] = {"--help", "--version"};
  const auto meant =
      first == "-V" || first == "-v" ? std::string_view("--version") : near_name(first, kLong);
  if (!meant.empty() && words.size() == 1) {
    return fmt::format("{} has no option {}; did you mean {}?", command, first, meant);
  }
  const auto verb = std::find_first_of(words.begin(), words.end(), verbs.begin(), verbs.end());
  return fmt::format(
      "{} stands in front of the verb: options go behind it, as in {} {} {} (see {} "
      "--help)",
      first, command, verb == words.end() ? "VERB" : *verb, first, command);
}

std::string unknown_verb(std::string_view word, const std::vector<std::string_view>& shown,
                         const std::string& command) {
  if (word == "help") {
    return fmt::format("{0} has no verb help: {0} --help tells what it has", command);
  }
  const auto nearest = near_name(word, shown);
  return fmt::format("{} has no verb {}: it has {}{} (see {} --help)", command, word,
                     list_of(shown),
                     nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest), command);
}

}  // namespace

std::optional<std::string> wrong_verb(const CLI::App& app, std::span<const char* const> words) {
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  if (all.empty()) {
    return std::nullopt;
  }
  std::vector<std::string> owned;
  owned.reserve(all.size());
  for (const CLI::App* verb : all) {
    owned.push_back(verb->get_name());
  }
  const std::vector<std::string_view> names(owned.begin(), owned.end());
  std::vector<std::string_view> shown;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i]->get_group().empty()) {
      shown.push_back(names[i]);
    }
  }
  const bool is_top = app.get_parent() == nullptr;
  const std::string command = is_top ? "gpuvm" : "gpuvm " + app.get_name();
  if (const auto early = early_option(words, names, command)) {
    return early;
  }
  // No option of these levels has a value, and CLI11 knows the options.
  const auto word = std::find_if(words.begin(), words.end(),
                                 [](std::string_view text) { return !text.starts_with('-'); });
  if (word == words.end()) {
    return words.empty() ? std::optional(fmt::format("A verb is required: {} (see {} --help)",
                                                     list_of(shown), command))
                         : std::nullopt;
  }
  const auto found = std::find(names.begin(), names.end(), *word);
  if (found != names.end()) {
    const auto rest = words.subspan(static_cast<std::size_t>(word - words.begin()) + 1);
    return wrong_verb(*all.at(static_cast<std::size_t>(found - names.begin())), rest);
  }
  return unknown_verb(*word, shown, command);
}

}  // namespace gpuvm::cli
