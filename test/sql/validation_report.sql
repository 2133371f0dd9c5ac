-- The report: all violations, with paths, in a fixed order and fixed words.
SET search_path = event_engine, public;
\pset null '-'

-- one of each keyword
SELECT instance_path, keyword_path, message, expected, found FROM jsonschema_errors($${
	"type": "object",
	"properties": {
		"type": {"type": ["string", "null"]},
		"enum": {"enum": ["a", "b", 1]},
		"const": {"const": {"a": 1}},
		"min": {"minimum": 1, "exclusiveMinimum": 0.5},
		"max": {"maximum": 1, "exclusiveMaximum": 0.5},
		"multiple": {"multipleOf": 0.1},
		"short": {"minLength": 3},
		"long": {"maxLength": 3},
		"pattern": {"pattern": "^a"},
		"format": {"format": "date"},
		"items": {"items": {"type": "integer"}, "minItems": 5, "uniqueItems": true},
		"tuple": {"items": [{"type": "string"}], "additionalItems": false, "maxItems": 1},
		"contains": {"contains": {"const": 1}},
		"refused": false,
		"names": {"propertyNames": {"pattern": "^[a-z]+$"}, "minProperties": 2},
		"deps": {"dependencies": {"a": ["b"], "c": {"maxProperties": 1}}},
		"not": {"not": {"type": "string"}},
		"if": {"if": {"type": "string"}, "then": {"minLength": 9}, "else": {"minimum": 9}},
		"encoded": {"contentEncoding": "base64"},
		"colour": {}
	},
	"required": ["missing", "gone"],
	"additionalProperties": false
}$$, $${
	"type": 1, "enum": "c", "const": {"a": 2}, "min": 0.25, "max": 2, "multiple": 0.25,
	"short": "ab", "long": "abcd", "pattern": "ba", "format": "2024-02-30",
	"items": [1, "x", 1.0, null], "tuple": [1, 2], "contains": [2, 3], "refused": 0,
	"names": {"A1": 1}, "deps": {"a": 1, "c": 1}, "not": "x", "if": "short", "encoded": "?",
	"color": 1, "something else": 2
}$$, 'draft7');

-- through references, inside allOf, and with names that pointers must escape
SELECT instance_path, keyword_path, keyword, message FROM jsonschema_errors($${
	"$defs": {"cents": {"type": "integer", "minimum": 0}},
	"allOf": [{"properties": {"a/b": {"$ref": "#/$defs/cents"}}}, {"required": ["m~n"]}],
	"properties": {"list": {"items": {"$ref": "#/$defs/cents"}}}
}$$, '{"a/b": -1, "list": [1, -2.5]}');

-- anyOf, oneOf: the branch that came closest, told apart by its constant
SELECT instance_path, keyword_path, message, found FROM jsonschema_errors($${
	"properties": {"payment": {"oneOf": [
		{"properties": {"method": {"const": "card"}, "last4": {"pattern": "^[0-9]{4}$"}}, "required": ["method", "last4"]},
		{"properties": {"method": {"const": "bank"}, "iban": {"type": "string"}}, "required": ["method", "iban"]}
	]}}
}$$, '{"payment": {"method": "bank", "iban": 7}}');
SELECT keyword_path, message, expected, found FROM jsonschema_errors(
	'{"anyOf": [{"type": "null"}, {"type": "string", "minLength": 3}]}', '"ab"');
SELECT keyword_path, message, found FROM jsonschema_errors('{"oneOf": [{"minimum": 1}, {"type": "string"}, {"maximum": 5}]}', '3');

-- what was not evaluated
SELECT instance_path, keyword_path, message FROM jsonschema_errors(
	'{"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}', '{"a": 1, "b": 2, "c": 3}');

-- values are shortened
SELECT message, length(found) AS length, right(found, 3) AS tail FROM jsonschema_errors('{"maxLength": 3, "const": 1}', to_jsonb(repeat('x', 1000)));
SELECT found FROM jsonschema_errors('{"const": 1}', '{"a": [1, 2, {"b": null}]}');
SELECT found FROM jsonschema_errors('{"const": 1}', to_jsonb(array_fill(1, ARRAY[1000])));

-- the branch that was meant is told by its constants, wherever it stands; of equals the first
SELECT keyword_path, message FROM jsonschema_errors('{"oneOf": [
	{"properties": {"kind": {"const": "a"}}},
	{"properties": {"kind": {"enum": ["b", "c"]}, "x": {"type": "string"}, "y": {"type": "string"}}},
	{"$ref": "#/oneOf/0"}, {"type": "array"}, {"$ref": "#/oneOf/1"},
	{"allOf": [{"$ref": "#/oneOf/0"}]}]}', '{"kind": "b", "x": 1, "y": 2}');
SELECT keyword_path, message FROM jsonschema_errors('{"anyOf": [
	{"properties": {"kind": {"const": "a"}}, "required": ["x"]},
	{"allOf": [{"properties": {"kind": {"const": "b"}}}]},
	{"properties": {"kind": {"const": "c"}}}]}', '{"kind": "d"}');

-- of two ways to be wrong the one further down is the closer
SELECT instance_path, keyword_path, message FROM jsonschema_errors('{"oneOf": [
	{"required": ["iban"]},
	{"required": ["card"], "properties": {"card": {"required": ["number"], "properties": {"cvc": {"type": "string"}}}}}]}',
	'{"card": {"cvc": 123}}');
SELECT keyword_path, message FROM jsonschema_errors('{"anyOf": [
	{"properties": {"a": {}, "b": {}}, "additionalProperties": false},
	{"properties": {"c": {"properties": {"d": {"type": "null"}, "e": {"type": "null"}}}}, "additionalProperties": false}]}', '{"c": {"d": 1, "e": 2}}');
-- a list of values tells branches apart less than a constant
SELECT keyword_path, message FROM jsonschema_errors('{"oneOf": [
	{"properties": {"kind": {"const": "a"}}},
	{"properties": {"kind": {"const": "b"}, "state": {"enum": ["on", "off"]}}}]}', '{"kind": "b", "state": "of"}');
-- constants count where they stand in a choice of their own
SELECT keyword_path, message FROM jsonschema_errors('{"oneOf": [
	{"properties": {"kind": {"oneOf": [{"const": "a"}, {"const": "b"}]}}},
	{"properties": {"kind": {"oneOf": [{"const": "c"}, {"const": "d"}]}, "x": {"type": "string"}, "y": {"type": "string"}}}]}',
	'{"kind": "d", "x": 1, "y": 2}');
-- a choice in a choice
SELECT instance_path, keyword_path, message FROM jsonschema_errors('{"anyOf": [{"type": "null"}, {"type": "object", "properties":
	{"to": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}}]}', '{"to": ["a", 2]}');

-- did you mean: letters left out, put in, replaced, swapped, in another case; nothing that is there already
SELECT key, message FROM jsonschema_errors('{"properties": {"amount": {}, "currency": {}, "issued_at": {}, "straße": {}, "id": {}}, "additionalProperties": false}',
	'{"amuont": 1, "currncy": 1, "isued_att": 1, "STRAßE": 1, "strase": 1, "iD": 1, "ib": 1, "amount": 1, "total": 1}'),
	LATERAL ltrim(instance_path, '/') key;
SELECT key, message FROM jsonschema_errors('{"properties": {"amount": {}, "currency": {}}, "additionalProperties": false}',
	'{"amuont": 1, "Currency": 1}'), LATERAL ltrim(instance_path, '/') key;
-- also through what stands beside unevaluatedProperties
SELECT keyword_path, message FROM jsonschema_errors('{"$defs": {"base": {"properties": {"amount": {}}}}, "$ref": "#/$defs/base",
	"anyOf": [{"properties": {"currency": {}}}], "unevaluatedProperties": false}', '{"amonut": 1, "curency": 2}');
-- a property that is missing may be there under a name like it
SELECT message FROM jsonschema_errors('{"required": ["amount", "date"], "properties": {"date": {}, "data": {}}}', '{"ammount": 1, "data": 2}');
SELECT message FROM jsonschema_errors('{"required": ["amount"], "properties": {"amount": {}}, "additionalProperties": false}', '{"ammount": 1}');
-- values
SELECT v, message, expected, found FROM unnest('{eur,EURO,UDS,yen}'::text[]) v, jsonschema_errors('{"enum": ["EUR", "USD", null, 1]}', to_jsonb(v));

-- deep down, beside much that is valid, each is found once
SELECT count(*), count(DISTINCT instance_path), min(instance_path), max(length(instance_path))
FROM jsonschema_errors('{"properties": {"n": {"$ref": "#"}, "v": {"type": "integer"}, "l": {"items": {"type": "integer"}}}}',
	(SELECT (string_agg('{"l": [1, 2, "x", 4], "v": ' || CASE WHEN i % 10 = 0 THEN '"x"' ELSE '1' END || ', "n": ', '') || 'null' || repeat('}', 300))::jsonb
	FROM generate_series(1, 300) i));
