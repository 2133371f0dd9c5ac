-- Formats: asserted up to draft 7, annotations from 2019-09 on.
SET search_path = event_engine, public;

CREATE TEMP TABLE cases (format text, valid text[], invalid text[]);
INSERT INTO cases VALUES
	('date', '{2024-02-29,1963-06-19,2000-02-29}', '{2023-02-29,1900-02-29,2024-13-01,2024-1-01,20240101,2024-04-31,""}'),
	('time', '{08:30:06Z,08:30:06.283185z,23:59:60Z,15:59:60-08:00,00:00:00+05:30}', '{08:30:06,24:00:00Z,08:60:00Z,22:59:60Z,08:30:06+24:00,08:30:06.Z,8:30:06Z,08:30:06PST}'),
	('date-time', '{1963-06-19T08:30:06.283185Z,1990-12-31t15:59:60-08:00}', '{"1963-06-19 08:30:06Z",1990-02-31T15:59:59Z,1963-06-19,08:30:06Z,06/19/1963T08:30:06Z}'),
	('email', '{joe@example.com,"\"joe bloggs\"@example.com",joe@[127.0.0.1],joe@[IPv6:::1],a+b@x.org}', '{2962,@x.org,joe@,.joe@x.org,jo..e@x.org,"joe bloggs@x.org",joe@x_y.org,joe@[300.0.0.1],a@b@c}'),
	('hostname', '{www.example.com,a,xn--4gbwdl.xn--wgbh1c,XN--4GBWDL.org,1.example}', '{xn--a,xn--X,xn--vek,xn--l-fda.org,ab--cd,bücher.de,-bad,bad-,a_b,a..b,.a,a.,"",abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd.org}'),
	('ipv4', '{192.168.0.1,0.0.0.0,255.255.255.255}', '{256.1.1.1,1.2.3,1.2.3.4.5,01.2.3.4,1.2.3.4/24,"１.2.3.4"}'),
	('ipv6', '{::1,::,1::,2001:db8::8a2e:370:7334,::ffff:192.0.2.128,1:2:3:4:5:6:7:8,1:2:3:4:5:6:1.2.3.4}', '{12345::,1::2::3,1:2:3:4:5:6:7:8:9,":1",1:,::1%eth0,1:2:3:4:5:6:7,::g,1:2:3:4:5:6:7:1.2.3.4}'),
	('uri', '{http://foo.bar/?baz=qux#quux,urn:isbn:0,mailto:a@b.c,http://[::1]:80/,ftp://u:p@h/%20,tag:x}', '{//foo.bar,/abc,\\\\WINDOWS,"http:// a",http://a/%2,http://a/<x>,http://[::1,:abc,"",http://x:9a/,1http://x}'),
	('uri-reference', '{http://foo.bar,//foo.bar,/abc,abc,#frag,"",../x,?q}', '{\\\\WINDOWS,#a\\b,"a b",1:x}'),
	('iri', '{http://ƒøø.ßår/?∂éœ=πîx#πîüx}', '{/abc,"http://ƒ ø"}'),
	('iri-reference', '{/âππ,#ƒ}', '{"\\\\x","â b"}'),
	('uri-template', ARRAY['http://x/{term:1}/{term}', '{?q*,lang}', '{+path}/here', 'plain', ''], ARRAY['http://x/{term', 'http://x/term}', '{}', '{a:0}', '{a b}', '{a}}', '<x>']),
	('json-pointer', '{"",/foo/0/bar~0~1,/}', '{foo,/foo/~2,/~,#/a}'),
	('relative-json-pointer', '{0,1/foo,2#,120/a}', '{/foo,-1,01/a,"0##",1a,""}'),
	('regex', '{"([abc])+\\s+$",^a$}', '{^(abc],\\a,*}'),
	('uuid', '{2EB8AA08-AA98-11EA-B4AA-73B441D16380,00000000-0000-0000-0000-000000000000}', '{2eb8aa08-aa98-11ea-b4aa-73b441d1638,2eb8aa08aa9811eab4aa73b441d16380,2eb8aa08-aa98-11ea-b4ga-73b441d16380}'),
	('idn-email', ARRAY['실례@실례.테스트', 'joe@x.org', 'joe@bu' || U&'\0308' || 'cher.de'], '{2962,@x,joe@x。org,joe@l·a.org}'),
	('idn-hostname', ARRAY['실례.테스트', 'bücher.de', 'straße.de', 'l·l', 'אב.example', 'a。b', 'xn--bcher-kva.de', repeat('ü', 55)],
		ARRAY['', '.', 'a。', 'Bücher.de', 'l·a', '・', 'אב.1a', 'א0' || U&'\0660', 'aא', '-ü', 'ü-', 'ü_ü', 'ü$', 'xn--hello-zed', 'bu' || U&'\0308' || 'cher.de',
			repeat('ü', 60), repeat('ü.', 50) || 'ü', repeat('ü', 100000)]),
	('made-up', '{anything}', '{}');

-- no row: all are as listed
SELECT c.format, i.text, i.expected FROM cases c,
	LATERAL (SELECT unnest(valid), true UNION ALL SELECT unnest(invalid), false) i (text, expected)
WHERE jsonschema_is_valid(jsonb_build_object('format', c.format), to_jsonb(i.text), 'draft7') <> i.expected;

SELECT d AS dialect, jsonschema_is_valid('{"format": "ipv4"}', '"x"', d) AS accepted FROM unnest('{draft4,draft6,draft7,2019-09,2020-12,v1}'::text[]) d;
SELECT jsonschema_is_valid('{"format": "date"}', '20240101', 'draft7') AS numbers_have_no_format;
