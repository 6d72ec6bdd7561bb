// Attributes of a node, and the record of which ones an op has read: an attribute that nobody reads is an error, so a
// misspelt rule cannot be ignored.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/errors.h"

namespace bittrue {

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(std::map<std::string, Attribute> values) : values_(std::move(values)) {}

  int64_t integer(const std::string& key, int64_t otherwise) const { return get<int64_t>(key, otherwise); }
  int64_t integer(const std::string& key) const { return get<int64_t>(key); }
  double real(const std::string& key, double otherwise) const {
    const Attribute* a = find(key);
    if (a && std::holds_alternative<int64_t>(*a)) return static_cast<double>(std::get<int64_t>(*a));
    return get<double>(key, otherwise);
  }
  std::string text(const std::string& key, const std::string& otherwise) const { return get(key, otherwise); }
  std::vector<int64_t> integers(const std::string& key, std::vector<int64_t> otherwise) const {
    return get(key, std::move(otherwise));
  }
  std::vector<int64_t> integers(const std::string& key) const { return get<std::vector<int64_t>>(key); }
  // A list, or a single integer as a list of one.
  std::vector<int64_t> integer_list(const std::string& key, std::vector<int64_t> otherwise) const {
    const Attribute* a = find(key);
    if (a && std::holds_alternative<int64_t>(*a)) return {std::get<int64_t>(*a)};
    return get(key, std::move(otherwise));
  }
  std::vector<double> reals(const std::string& key, std::vector<double> otherwise) const {
    return get(key, std::move(otherwise));
  }
  bool has(const std::string& key) const { return find(key) != nullptr; }

  // One of a list of names, as its index in an enum.
  template <class Enum>
  Enum choice(const std::string& key, const std::vector<std::string>& names, const std::string& otherwise) const {
    const std::string value = text(key, otherwise);
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == value) return static_cast<Enum>(i);
    throw UnsupportedError("attribute '" + key + "': unknown rule '" + value + "'");
  }

  // Throws if the node carries an attribute that no code has asked for.
  void check_all_read() const {
    for (const auto& [key, value] : values_)
      if (!read_.count(key)) throw UnsupportedError("unknown attribute '" + key + "'");
  }

 private:
  const Attribute* find(const std::string& key) const {
    read_.insert(key);
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : &it->second;
  }
  template <class T>
  T get(const std::string& key) const {
    const Attribute* a = find(key);
    if (!a) throw DataError("attribute '" + key + "' is missing");
    if (!std::holds_alternative<T>(*a)) throw DataError("attribute '" + key + "' has the wrong type");
    return std::get<T>(*a);
  }
  template <class T>
  T get(const std::string& key, T otherwise) const {
    return find(key) ? get<T>(key) : otherwise;
  }

  std::map<std::string, Attribute> values_;
  mutable std::set<std::string> read_;
};

}  // namespace bittrue
