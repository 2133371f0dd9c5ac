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
		"encoded": {"contentEncoding": "base64"}
	},
	"required": ["missing", "gone"],
	"additionalProperties": false
}$$, $${
	"type": 1, "enum": "c", "const": {"a": 2}, "min": 0.25, "max": 2, "multiple": 0.25,
	"short": "ab", "long": "abcd", "pattern": "ba", "format": "2024-02-30",
	"items": [1, "x", 1.0, null], "tuple": [1, 2], "contains": [2, 3], "refused": 0,
	"names": {"A1": 1}, "deps": {"a": 1, "c": 1}, "not": "x", "if": "short", "encoded": "?",
	"patern": 1, "something else": 2
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
