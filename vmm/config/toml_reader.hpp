// SPDX-License-Identifier: Apache-2.0
// Internal to this room: reads typed values out of a parsed TOML table, with errors that name the
// key, what it must be, what it is, and where it stands. It notes every key that is asked for, so
// that what is left over is unknown, and so that the list of all keys needs no second copy.
// The specification is TOML 1.0 (toml.io), as toml++ 3.3 parses it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/config/key_forms.hpp"
#include "vmm/config/names.hpp"
#include "vmm/config/suggestion.hpp"
#include "vmm/config/tomlpp.hpp"

namespace gpuvm::config {

/// What all readers of one document share.
struct ReaderContext {
  std::string label;           ///< names the document in messages
  std::string directory;       ///< where relative paths start
  std::set<std::string> keys;  ///< every key asked for so far, without indices of lists
  KeyForms* forms = nullptr;   ///< what was asked for of each; nullptr: nobody wants to know
};

/// Text from a document as a message may show it: one line, no control characters, not too long.
std::string printable(std::string_view text);

/// The same without a limit of length, for messages of toml++, which quote the document.
std::string one_line(std::string_view text);

bool has_control_character(std::string_view text);

/// " (guest.toml:3:8)" or " (--set machine.cpus=x)"; "" where nothing is known.
std::string place_of(const toml::node& node);
std::string place_of(const toml::source_region& source);

/// A path as written, made absolute against directory.
std::string resolve_path(const std::string& directory, std::string_view path);

/// What is odd about a path that a shell would have changed ("~/x", "$HOME/x"), with the cure; ""
/// for others.
std::string trouble_with_path(std::string_view path);

/// Whether two paths are the same but for "." and ".." in them; links are not looked at.
bool is_same_path(std::string_view one, std::string_view other);

class TableReader {
 public:
  struct IntegerRange {
    std::int64_t least;
    std::int64_t most;
    std::string_view hex_example = {};  ///< of an id, which people write as "0x10de"
  };

  /// The document's root.
  TableReader(const toml::table& root, ReaderContext& context)
      : table_(&root), context_(&context) {}

  // Each returns `otherwise` when the key is absent. Errors: kConfig.
  Result<std::int64_t> integer(std::string_view key, IntegerRange range, std::int64_t otherwise);
  Result<std::optional<std::int64_t>> optional_integer(std::string_view key, IntegerRange range);
  Result<bool> boolean(std::string_view key, bool otherwise);
  /// Without control characters. `rule` says in messages what the key must be.
  Result<std::optional<std::string>> optional_string(std::string_view key,
                                                     std::string_view rule = "a string");
  /// A path, resolved, shorter than PATH_MAX; none that a shell would have changed.
  Result<std::optional<std::string>> optional_path(std::string_view key);
  /// A value of an enumeration of names.hpp, by its word.
  template <class Enum>
  Result<Enum> choice(std::string_view key, Enum otherwise) {
    return static_cast<Enum>(TRY(choice(key, kWords<Enum>, static_cast<std::size_t>(otherwise))));
  }
  Result<std::optional<std::vector<std::string>>> optional_strings(
      std::string_view key, std::string_view rule = "a list of strings");
  Result<std::optional<std::vector<std::int64_t>>> optional_integers(std::string_view key,
                                                                     IntegerRange range,
                                                                     std::string_view rule);

  /// A table below this one; an empty one when absent. Below a list's entry, where no header names
  /// one table, messages show the `example`: "{ bar = 2 }".
  Result<TableReader> table(std::string_view key, std::string_view example = {});
  /// A list of tables; empty when absent.
  Result<std::vector<TableReader>> tables(std::string_view key);

  /// The names in this table, for one whose names are the user's.
  std::vector<std::string_view> names() const;
  /// A string with any characters, also line breaks. The key is there.
  Result<std::string> text(std::string_view key, std::string_view rule);

  /// As optional_path(), for one that is a part of the key's value. Not resolved.
  Status check_path(std::string_view key, std::string_view path) const;

  bool has(std::string_view key) const { return table_->contains(key); }
  /// True if the key is there and holds a table.
  bool holds_table(std::string_view key) const;
  /// True if it does, written as { … } in one place: not as a key with dots or a header.
  bool holds_inline_table(std::string_view key) const;
  /// True if the key is there and holds a string.
  bool holds_string(std::string_view key) const;

  /// "machine.cpus must be {what}, not {actual} ({place}){advice}".
  Error must_be(std::string_view key, std::string_view what, std::string_view actual,
                std::string_view advice = {}) const;
  /// "{the key's full name} {problem} ({place})".
  Error wrong(std::string_view key, std::string_view problem) const;
  /// "machine.cpus", for messages.
  std::string name_of(std::string_view key) const;
  const std::string& directory() const { return context_->directory; }
  /// "pci.0 (guest.toml:3:1)", of the table itself.
  std::string own_place() const;
  /// "cloud_init.user_data (guest.toml:3:1)", of a key of it.
  ConfigPlace place_of_value(std::string_view key) const;
  /// Of a key that is there and holds an integer.
  std::optional<std::int64_t> held_integer(std::string_view key) const;

  /// Call after all keys were read: an unknown one is an error that says what may have been meant.
  Status finish() const;

 private:
  TableReader(const toml::table* table, ReaderContext* context, std::string name,
              std::string schema_name)
      : table_(table),
        context_(context),
        name_(std::move(name)),
        schema_name_(std::move(schema_name)) {}

  const toml::node* find(std::string_view key, KnownName::Kind kind = KnownName::Kind::kValue);
  void note(std::string_view key, KeyForm form) const;
  /// The index of one of the given words.
  Result<std::size_t> choice(std::string_view key, std::span<const std::string_view> words,
                             std::size_t otherwise);
  Result<std::string> checked_string(std::string_view key, const toml::node& node,
                                     std::string_view rule) const;
  Result<std::int64_t> checked_integer(std::string_view key, const toml::node& node,
                                       IntegerRange range) const;
  Result<std::int64_t> checked_element(std::string_view key, const toml::node& element,
                                       IntegerRange range, std::string_view rule) const;
  std::string place(std::string_view key) const;
  std::string schema_name_of(std::string_view key) const;
  std::string advice_on(std::string_view unknown_key) const;
  bool is_entry() const;

  const toml::table* table_;
  ReaderContext* context_;
  std::string name_;         ///< "" for the root, "machine", "pci.0"
  std::string schema_name_;  ///< the same without indices
  std::vector<KnownName> known_;
};

}  // namespace gpuvm::config
