// SPDX-License-Identifier: Apache-2.0
// The inspect tree: every object can render its state into named values and children, for `gpuvm
// inspect`, bug reports and test assertions. Order is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpuvm {

class InspectNode {
 public:
  explicit InspectNode(std::string name = {}) : name_(std::move(name)) {}

  void field(std::string_view key, std::string_view value);
  void field(std::string_view key, const char* value) { field(key, std::string_view(value)); }
  void field(std::string_view key, std::uint64_t value);
  void field(std::string_view key, bool value);
  /// As "0x…" text.
  void hex(std::string_view key, std::uint64_t value);
  /// Adds (or finds) a child; the reference stays valid while this node lives.
  InspectNode& child(std::string_view name);

  const std::string& name() const { return name_; }
  /// The rendered value of a field of this node, or "" when absent: for tests.
  std::string_view get(std::string_view key) const;
  /// The child of this name; null: there is none.
  const InspectNode* find(std::string_view name) const;
  /// In their order; valid while this node is.
  std::vector<const InspectNode*> children() const;
  /// Of this node's fields, in their order.
  std::vector<std::string_view> keys() const;
  /// Indented text, one value a line.
  std::string to_text(unsigned indent = 0) const;
  /// One JSON object.
  std::string to_json() const;

 private:
  struct Field {
    std::string key;
    std::string value;
    bool quoted;  ///< a JSON string, else a number or boolean as it stands
  };
  std::string name_;
  std::vector<Field> fields_;
  std::vector<std::unique_ptr<InspectNode>> children_;
};

/// An object with state worth showing.
class Inspectable {
 public:
  virtual ~Inspectable() = default;
  /// Adds the state to `node`, each key once. Any thread, at any time between construction and
  /// destruction unless the class says otherwise: while vCPUs run, and during a reset.
  virtual void inspect(InspectNode& node) const = 0;
};

}  // namespace gpuvm
