// SPDX-License-Identifier: Apache-2.0
// Buffer fields, statements and operators: ACPI 6.5, 20.2.5.2 to 20.2.5.4.
#include "firmware/acpi/aml.hpp"
#include "firmware/acpi/aml_encoding.hpp"

namespace gpuvm::aml {
namespace {

Term create_fixed_field(std::uint16_t opcode, const Term& source, const Term& byte_index,
                        std::string_view field_path) {
  return operation(opcode, {source, byte_index, path(field_path)});
}

}  // namespace

Term create_byte_field(const Term& source, const Term& byte_index, std::string_view object) {
  return create_fixed_field(0x8c, source, byte_index, object);
}
Term create_word_field(const Term& source, const Term& byte_index, std::string_view object) {
  return create_fixed_field(0x8b, source, byte_index, object);
}
Term create_dword_field(const Term& source, const Term& byte_index, std::string_view object) {
  return create_fixed_field(0x8a, source, byte_index, object);
}
Term create_qword_field(const Term& source, const Term& byte_index, std::string_view object) {
  return create_fixed_field(0x8f, source, byte_index, object);
}
Term create_field(const Term& source, const Term& bit_index, const Term& bits,
                  std::string_view object) {
  return operation(0x5b13, {source, bit_index, bits, path(object)});
}

Term return_(const Term& value) {
  return operation(0xa4, {value});
}
Term if_(const Term& predicate, const Terms& terms) {
  return packaged(0xa0, {predicate}, terms);
}
Term else_(const Terms& terms) {
  return packaged(0xa1, {}, terms);
}
Term while_(const Term& predicate, const Terms& terms) {
  return packaged(0xa2, {predicate}, terms);
}
Term break_() {
  return operation(0xa5, {});
}
Term notify(const Term& object, const Term& value) {
  return operation(0x86, {object, value});
}
Term sleep(const Term& milliseconds) {
  return operation(0x5b22, {milliseconds});
}
Term call(std::string_view method_path, const Terms& arguments) {
  return join({path(method_path), join(arguments)});
}

Term store(const Term& value, const Term& target) {
  return operation(0x70, {value, target});
}
Term add(const Term& a, const Term& b, const Term& target) {
  return operation(0x72, {a, b, target});
}
Term concatenate(const Term& a, const Term& b, const Term& target) {
  return operation(0x73, {a, b, target});
}
Term subtract(const Term& a, const Term& b, const Term& target) {
  return operation(0x74, {a, b, target});
}
Term increment(const Term& variable) {
  return operation(0x75, {variable});
}
Term decrement(const Term& variable) {
  return operation(0x76, {variable});
}
Term multiply(const Term& a, const Term& b, const Term& target) {
  return operation(0x77, {a, b, target});
}
Term divide(const Term& dividend, const Term& divisor, const Term& remainder,
            const Term& quotient) {
  return operation(0x78, {dividend, divisor, remainder, quotient});
}
Term shift_left(const Term& value, const Term& count, const Term& target) {
  return operation(0x79, {value, count, target});
}
Term shift_right(const Term& value, const Term& count, const Term& target) {
  return operation(0x7a, {value, count, target});
}
Term and_(const Term& a, const Term& b, const Term& target) {
  return operation(0x7b, {a, b, target});
}
Term or_(const Term& a, const Term& b, const Term& target) {
  return operation(0x7d, {a, b, target});
}
Term xor_(const Term& a, const Term& b, const Term& target) {
  return operation(0x7f, {a, b, target});
}
Term not_(const Term& value, const Term& target) {
  return operation(0x80, {value, target});
}
Term deref_of(const Term& reference) {
  return operation(0x83, {reference});
}
Term size_of(const Term& object) {
  return operation(0x87, {object});
}
Term index(const Term& object, const Term& position, const Term& target) {
  return operation(0x88, {object, position, target});
}
Term to_buffer(const Term& value, const Term& target) {
  return operation(0x96, {value, target});
}
Term mid(const Term& source, const Term& position, const Term& length, const Term& target) {
  return operation(0x9e, {source, position, length, target});
}

Term logical_and(const Term& a, const Term& b) {
  return operation(0x90, {a, b});
}
Term logical_or(const Term& a, const Term& b) {
  return operation(0x91, {a, b});
}
Term logical_not(const Term& value) {
  return operation(0x92, {value});
}
Term equal(const Term& a, const Term& b) {
  return operation(0x93, {a, b});
}
Term greater(const Term& a, const Term& b) {
  return operation(0x94, {a, b});
}
Term less(const Term& a, const Term& b) {
  return operation(0x95, {a, b});
}
Term not_equal(const Term& a, const Term& b) {
  return logical_not(equal(a, b));
}
Term less_equal(const Term& a, const Term& b) {
  return logical_not(greater(a, b));
}
Term greater_equal(const Term& a, const Term& b) {
  return logical_not(less(a, b));
}

}  // namespace gpuvm::aml
