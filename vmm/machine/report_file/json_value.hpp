// SPDX-License-Identifier: Apache-2.0
// JsonValue: a value of a hostile JSON document and where in it it is, for errors such as
// "functions[0].vfio.regions[2].size must be a number of at most 15, not a string".
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// The document must outlive it. All errors are kConfig.
class JsonValue {
 public:
  explicit JsonValue(const nlohmann::json& value, std::string path = {})
      : value_(&value), path_(std::move(path)) {}

  /// The member of an object. Errors: no object, or no such member.
  Result<JsonValue> member(const char* key) const;
  /// Nothing where it is not there. Errors: no object.
  Result<std::optional<JsonValue>> optional_member(const char* key) const;
  Result<std::vector<JsonValue>> items(std::size_t most) const;

  /// A whole number, or "0x…" in its place.
  Result<std::uint64_t> number(
      std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const;
  Result<bool> boolean() const;
  /// Printable ASCII of at most 8000 characters.
  Result<std::string> text() const;
  Result<Bdf> address() const;

  // Of a member.
  template <class T>
  Result<T> number_of(const char* key, T most = std::numeric_limits<T>::max()) const {
    return static_cast<T>(TRY(TRY(member(key)).number(most)));
  }
  Result<std::string> text_of(const char* key) const { return TRY(member(key)).text(); }
  Result<bool> boolean_of(const char* key) const { return TRY(member(key)).boolean(); }
  Result<Bdf> address_of(const char* key) const { return TRY(member(key)).address(); }
  Result<std::vector<JsonValue>> items_of(const char* key, std::size_t most) const {
    return TRY(member(key)).items(most);
  }
  Result<std::vector<std::string>> texts_of(const char* key, std::size_t most) const;
  Result<std::vector<std::uint16_t>> small_numbers_of(const char* key, std::size_t most) const;

  /// "functions[0].vfio must be …"
  Error wrong(const std::string& what) const;

 private:
  const nlohmann::json* value_;
  std::string path_;
};

}  // namespace gpuvm
