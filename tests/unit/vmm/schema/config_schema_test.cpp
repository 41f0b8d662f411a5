// SPDX-License-Identifier: Apache-2.0
// The schema against the readers: each key is in it, with the types, words and ranges that they
// take. tests/cli/schema_test.sh validates the example configurations against it.
#include "vmm/schema/config_schema.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "vmm/config/config.hpp"

namespace gpuvm::schema::config_schema_test {
namespace {

using Json = nlohmann::json;

const Json& schema() {
  static const Json all = Json::parse(config_schema());
  return all;
}

/// The table that a value may be, or that a list is of.
const Json& table_of(const Json& value) {
  if (value.contains("anyOf")) {
    const Json& choices = value["anyOf"];
    const auto found = std::find_if(choices.begin(), choices.end(), [](const Json& choice) {
      return choice.contains("properties");
    });
    return found != choices.end() ? *found : value;
  }
  return value.contains("items") ? value["items"] : value;
}

/// What the schema says of "pci.host", without its description; null where it says nothing.
Json of(const std::string& key) {
  const Json* at = &schema();
  for (std::size_t begin = 0; begin <= key.size();) {
    const auto end = std::min(key.find('.', begin), key.size());
    const Json& table = table_of(*at);
    const auto name = key.substr(begin, end - begin);
    if (!table.contains("properties") || !table["properties"].contains(name)) {
      return Json();
    }
    at = &table["properties"][name];
    begin = end + 1;
  }
  Json value = *at;
  value.erase("description");
  return value;
}

TEST(ConfigSchema, HasEveryKey) {
  for (const auto& key : config_keys()) {
    EXPECT_FALSE(of(key).is_null()) << key;
  }
}

TEST(ConfigSchema, DescribesEveryKeyOfASection) {
  const Json& all = schema();
  EXPECT_EQ(all["$schema"], "https://json-schema.org/draft/2020-12/schema");
  for (const auto& [name, section] : all["properties"].items()) {
    const Json keys = table_of(section).value("properties", Json::object());
    for (const auto& [key, value] : keys.items()) {
      EXPECT_FALSE(value.value("description", "").empty()) << name << "." << key;
    }
  }
}

TEST(ConfigSchema, HasTypesWordsAndRanges) {
  EXPECT_EQ(of("machine.cpus"), Json::parse(R"({"type":"integer","minimum":1,"maximum":255})"));
  EXPECT_EQ(of("machine.rng"), Json::parse(R"({"type":"boolean"})"));
  EXPECT_EQ(of("machine.memory"), Json::parse(R"({"type":"string"})"));
  EXPECT_EQ(of("boot.mode"), Json::parse(R"({"enum":["linux","efi-handover","uefi"]})"));
  EXPECT_EQ(of("cpu.hide"), Json::parse(R"({"type":"array","items":{"type":"string"}})"));
  EXPECT_EQ(of("pci.coherent_memory.bar")["maximum"], 5);
  EXPECT_EQ(of("disk.throttle.iops")["minimum"], 1);
}

TEST(ConfigSchema, HasEachFormOfAValue) {
  EXPECT_EQ(of("pci.functions")["anyOf"].size(), 2U);   // "all", [0, 1]
  EXPECT_EQ(of("pci.match")["anyOf"].size(), 2U);       // "any-gpu", ["any-gpu"]
  EXPECT_EQ(of("pci.resize_bar")["anyOf"].size(), 2U);  // "max", { bar = 1, size = "max" }
  EXPECT_EQ(of("pci.resize_bar.size"), Json::parse(R"({"type":"string"})"));
  EXPECT_EQ(of("vsock.cid")["anyOf"].size(), 2U);  // 3, "auto"
  EXPECT_EQ(of("test.success_pattern")["anyOf"].size(), 2U);
}

TEST(ConfigSchema, RangeThatDependsOnAnotherKeyIsTheWidest) {
  EXPECT_EQ(of("node.cpus")["items"]["maximum"], 254);
}

TEST(ConfigSchema, RefusesUnknownKeysButTheUsersOwn) {
  const Json& all = schema();
  EXPECT_EQ(all["additionalProperties"], false);
  EXPECT_EQ(all["properties"]["pci"]["items"]["additionalProperties"], false);
  EXPECT_EQ(of("credentials"), Json::parse(R"({"type":"object"})"));
}

}  // namespace
}  // namespace gpuvm::schema::config_schema_test
