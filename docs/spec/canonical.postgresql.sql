-- The canonical form, version 1 (canonical-form.md), computed by PostgreSQL itself: for an auditor who trusts the database alone.
-- Tried on PostgreSQL 15; needs 11 or newer, a database in UTF8, and no extension.
--
--     psql --set ON_ERROR_STOP=1 --file canonical.postgresql.sql        makes the schema `canonical`; may be loaded again
--
-- One function for each tag: it takes a column as it is and gives the framed text, `~` for null. What has no canonical form is an
-- error, never a guess. The row text is the framed texts of the compared columns, in BYTE ORDER OF THEIR MAPPED NAMES:
--
--     SELECT canonical.key_id(canonical.n(id)),
--            canonical.row_hash(canonical.n(amount) || canonical.n(id) || canonical.large(canonical.s(note)))
--     FROM orders;          -- columns amount, id (the key), note (declared large); in hex, as events and bundles show it
--
--     boolean                    canonical.b(c)       bit(1): canonical.b(c = B'1')
--     smallint to bigint         canonical.n(c)       money: canonical.n(c::numeric)
--     numeric                    canonical.n(c)
--     real, double precision     canonical.f(c)
--     text, varchar, char(n)     canonical.s(c)       enum, xml, inet, ranges ...: canonical.s(c::text)
--     bytea                      canonical.x(c)       bit(n), bit varying: canonical.bits(c)
--     date                       canonical.d(c)
--     timestamp, timestamptz     canonical.t(c)       in a declared `timezone: Z`: canonical.t(c AT TIME ZONE 'Z'), but see below
--     time, timetz               canonical.c(c)
--     uuid                       canonical.u(c)
--     json, jsonb                canonical.j(c)
--     arrays                     canonical.l(CASE WHEN c IS NOT NULL THEN ARRAY(
--                                SELECT canonical.n(e) FROM unnest(c) WITH ORDINALITY AS u (e, i) ORDER BY i) END)
--                                without CASE null would be an empty list; one dimension only; a set: canonical.l_set(...)
--     hstore                     canonical.m('s', akeys(c), ARRAY(
--                                SELECT canonical.s(v) FROM unnest(avals(c)) WITH ORDINALITY AS u (v, i) ORDER BY i))
--                                a composite likewise, its field names as keys
--     interval                   canonical.i(c), as with interval.handling.mode=string
--
-- What is not shared, or only so far:
--   * char(n) keeps its padding, as the connector sends it: it never equals an unpadded text.
--   * A column of real is widened; a number that was rounded to float before it came here stays rounded.
--   * jsonb has forgotten repeated keys (the last won) when it was stored; json has not. JSON with \u0000 cannot be read here.
--   * AT TIME ZONE guesses at local times that exist twice or not at all; the canonical form refuses them. There are no ns here.
--   * `unicode: nfc`: canonical.s(normalize(c, NFC)), by the server's version of Unicode; not inside JSON.
--   * interval.handling.mode=numeric (the connector's default) averages months in floating point: not here.
--   * Geometry, vectors, and expressions in DataFusion's dialect are not here.

DO $$ BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'expected a database in UTF8, got %', current_setting('server_encoding');
    END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS canonical;

-- Framing, hashes ----------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION canonical.frame(tag text, body text) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT coalesce(tag || octet_length(body) || ':' || body, '~')
$$;

-- Volatile: else it would be computed, and fail, when a statement is planned.
CREATE OR REPLACE FUNCTION canonical.refuse(reason text) RETURNS text
VOLATILE PARALLEL SAFE LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no canonical form: %', reason USING ERRCODE = 'data_exception';
END $$;

-- HMAC-SHA-256 (RFC 2104), without pgcrypto.
CREATE OR REPLACE FUNCTION canonical.hmac(hash_key bytea, message bytea) RETURNS bytea
IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE
    padded bytea := CASE WHEN length(hash_key) > 64 THEN sha256(hash_key) ELSE hash_key END;
    inner_pad bytea;
    outer_pad bytea;
BEGIN
    padded := padded || decode(repeat('00', 64 - length(padded)), 'hex');
    inner_pad := padded;
    outer_pad := padded;
    FOR i IN 0..63 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(padded, i) # 54);
        outer_pad := set_byte(outer_pad, i, get_byte(padded, i) # 92);
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || message));
END $$;

-- In hex. With `hash_key` declared, give its octets as the second argument.
CREATE OR REPLACE FUNCTION canonical.row_hash(row_text text, hash_key bytea DEFAULT NULL) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT encode(CASE WHEN hash_key IS NULL THEN sha256(convert_to(row_text, 'UTF8'))
                       ELSE canonical.hmac(hash_key, convert_to(row_text, 'UTF8')) END, 'hex')
$$;

CREATE OR REPLACE FUNCTION canonical.key_id(key_text text, hash_key bytea DEFAULT NULL) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT left(canonical.row_hash(key_text, hash_key), 32)
$$;

-- A large column inside a row's text: always the plain hash.
CREATE OR REPLACE FUNCTION canonical.large(framed text) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE WHEN framed = '~' THEN framed ELSE canonical.frame('h', canonical.row_hash(framed)) END
$$;

-- Single values ------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION canonical.b(value boolean) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('b', CASE value WHEN true THEN '1' WHEN false THEN '0' END)
$$;

CREATE OR REPLACE FUNCTION canonical.s(value text) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('s', value)
$$;

-- A cast to text would strip the padding; format() does not.
CREATE OR REPLACE FUNCTION canonical.s(value character) RETURNS text
STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('s', CASE WHEN value IS NOT NULL THEN format('%s', value) END)
$$;

CREATE OR REPLACE FUNCTION canonical.x(value bytea) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('x', encode(value, 'hex'))
$$;

-- The bits as one number, its octets from the lowest on.
CREATE OR REPLACE FUNCTION canonical.bits(value bit varying) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('x', CASE WHEN value IS NOT NULL THEN (
        SELECT coalesce(string_agg(lpad(to_hex(substr(padded, i, 8)::bit(8)::integer), 2, '0'), '' ORDER BY i DESC), '')
        FROM lpad(value::text, (length(value) + 7) / 8 * 8, '0') AS padded, generate_series(1, length(padded), 8) AS i) END)
$$;

CREATE OR REPLACE FUNCTION canonical.u(value uuid) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('u', value::text)
$$;

-- Numbers ------------------------------------------------------------------------------------------

-- digits (no zero at either end, not empty) times 10^power, in plain decimal.
CREATE OR REPLACE FUNCTION canonical.plain(negative boolean, digits text, power bigint) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE
    point bigint := length(digits) + power;
BEGIN
    IF greatest(point, 1) + greatest(-power, 0) > 10000 THEN
        PERFORM canonical.refuse('a number of more than 10,000 digits');
    END IF;
    RETURN CASE WHEN negative THEN '-' ELSE '' END || CASE
        WHEN power >= 0 THEN digits || repeat('0', power::integer)
        WHEN point > 0 THEN left(digits, point::integer) || '.' || substr(digits, point::integer + 1)
        ELSE '0.' || repeat('0', -point::integer) || digits
    END;
END $$;

-- The text of a number as written, an exponent included (PostgreSQL's own numeric would cut some, and refuse others).
CREATE OR REPLACE FUNCTION canonical.number(literal text) RETURNS text
IMMUTABLE STRICT PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE
    part text[] := regexp_match(literal, '^([+-]?)([0-9]+)(?:[.]([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?$');
    digits text := ltrim(part[2] || coalesce(part[3], ''), '0');
    power bigint;
BEGIN
    IF part IS NULL THEN
        PERFORM canonical.refuse('expected a number, got other text');
    END IF;
    IF digits = '' THEN
        RETURN '0';
    END IF;
    IF length(part[5]) > 9 THEN
        PERFORM canonical.refuse('a number of more than 10,000 digits');
    END IF;
    power := coalesce((part[4] || part[5])::bigint, 0) - length(coalesce(part[3], ''))
        + length(digits) - length(rtrim(digits, '0'));
    RETURN canonical.plain(part[1] = '-', rtrim(digits, '0'), power);
END $$;

CREATE OR REPLACE FUNCTION canonical.n(value numeric) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('n', CASE WHEN value::text IN ('NaN', 'Infinity', '-Infinity') THEN value::text
                                     WHEN value IS NOT NULL THEN canonical.number(value::text) END)
$$;

-- ECMA-262 Number::toString. PostgreSQL's own digits are the shortest strictly inside the interval that rounds to the value;
-- ECMAScript's may lie on its edge (5e+22 against 4.9999999999999996e+22), so one digit fewer is tried, below and above.
CREATE OR REPLACE FUNCTION canonical.f(value double precision) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql SET extra_float_digits = 1 AS $$
DECLARE
    sign text := CASE WHEN value < 0 THEN '-' ELSE '' END;
    part text[];
    digits text;
    point integer;   -- the value is 0.digits times 10^point
    shorter numeric;
BEGIN
    IF value IS NULL OR value = 0 OR value::text IN ('NaN', 'Infinity', '-Infinity') THEN
        RETURN canonical.frame('f', CASE WHEN value = 0 THEN '0' ELSE value::text END);
    END IF;
    part := regexp_match(abs(value)::text, '^([0-9]+)(?:[.]([0-9]+))?(?:e([+-][0-9]+))?$');
    digits := ltrim(part[1] || coalesce(part[2], ''), '0');
    point := coalesce(part[3]::integer, 0) + length(digits) - length(coalesce(part[2], ''));
    digits := rtrim(digits, '0');
    IF length(digits) > 1 THEN
        FOR i IN 0..1 LOOP
            shorter := left(digits, -1)::numeric + i;
            -- beyond the largest double there is nothing to try: the cast would fail
            IF (shorter::text || 'e' || point - length(digits) + 1)::numeric <= 1.7976931348623157e308
                AND (shorter::text || 'e' || point - length(digits) + 1)::double precision = abs(value) THEN
                point := point + length(shorter::text) - length(digits) + 1;
                digits := rtrim(shorter::text, '0');
                EXIT;
            END IF;
        END LOOP;
    END IF;
    RETURN canonical.frame('f', sign || CASE
        WHEN length(digits) <= point AND point <= 21 THEN digits || repeat('0', point - length(digits))
        WHEN point BETWEEN 1 AND 21 THEN left(digits, point) || '.' || substr(digits, point + 1)
        WHEN point BETWEEN -5 AND 0 THEN '0.' || repeat('0', -point) || digits
        ELSE left(digits, 1) || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
            || 'e' || CASE WHEN point > 0 THEN '+' ELSE '-' END || abs(point - 1)
    END);
END $$;

-- Dates and times ----------------------------------------------------------------------------------

-- PostgreSQL has no year 0: 1 BC is -1 here and 0000 in the canonical form.
CREATE OR REPLACE FUNCTION canonical.day(year integer, month integer, day integer) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE WHEN astronomical < 0 THEN '-' WHEN astronomical > 9999 THEN '+' ELSE '' END
        || repeat('0', 4 - length(abs(astronomical)::text)) || abs(astronomical)
        || '-' || lpad(month::text, 2, '0') || '-' || lpad(day::text, 2, '0')
    FROM (SELECT CASE WHEN year < 0 THEN year + 1 ELSE year END AS astronomical) AS years
$$;

CREATE OR REPLACE FUNCTION canonical.d(value date) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('d', CASE WHEN isfinite(value) THEN canonical.day(
        extract(year FROM value)::integer, extract(month FROM value)::integer, extract(day FROM value)::integer)
        ELSE value::text END)
$$;

CREATE OR REPLACE FUNCTION canonical.t(value timestamp) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('t', CASE WHEN isfinite(value) THEN canonical.day(
        extract(year FROM value)::integer, extract(month FROM value)::integer, extract(day FROM value)::integer)
        || to_char(value, '"T"HH24:MI:SS.US') ELSE value::text END)
$$;

CREATE OR REPLACE FUNCTION canonical.t(value timestamptz) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.t(value AT TIME ZONE 'UTC')
$$;

CREATE OR REPLACE FUNCTION canonical.c(value time) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('c', to_char(value, 'HH24:MI:SS.US'))
$$;

-- In UTC, over midnight where it must; 24:00:00 with offset 0 is kept.
CREATE OR REPLACE FUNCTION canonical.c(value timetz) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.c(CASE WHEN extract(timezone FROM value) = 0 THEN value::time ELSE (value AT TIME ZONE 'UTC')::time END)
$$;

-- Debezium's io.debezium.time.Interval: every part, zeros too; a part's sign stands before its number.
CREATE OR REPLACE FUNCTION canonical.i(value interval) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('i', 'P' || extract(year FROM value)::integer || 'Y' || extract(month FROM value)::integer
        || 'M' || extract(day FROM value)::integer || 'DT' || extract(hour FROM value)::integer || 'H'
        || extract(minute FROM value)::integer || 'M' || canonical.number(extract(second FROM value)::numeric::text) || 'S')
$$;

-- JSON ---------------------------------------------------------------------------------------------

-- RFC 8785 sorts keys by UTF-16 code units: like code points, but U+E000 to U+FFFF come after what UTF-16 writes with surrogates.
CREATE OR REPLACE FUNCTION canonical.utf16_order(key text) RETURNS integer[]
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT ARRAY(SELECT CASE WHEN ascii(letter) BETWEEN 57344 AND 65535 THEN ascii(letter) + 1114112 ELSE ascii(letter) END
                 FROM regexp_split_to_table(key, '') WITH ORDINALITY AS letters (letter, place)
                 WHERE letter <> '' ORDER BY place)
$$;

CREATE OR REPLACE FUNCTION canonical.json_text(value json, depth integer) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE
    kind text := json_typeof(value);
    body text;
    members bigint;
    names bigint;
BEGIN
    IF depth > 128 AND kind IN ('object', 'array') THEN
        PERFORM canonical.refuse('JSON nested deeper than 128');
    END IF;
    CASE kind
        WHEN 'object' THEN
            SELECT string_agg(to_json(key)::text || ':' || canonical.json_text(member, depth + 1), ','
                              ORDER BY canonical.utf16_order(key)), count(*), count(DISTINCT key COLLATE "C")
                INTO body, members, names FROM json_each(value) AS parts (key, member);
            IF members <> names THEN
                PERFORM canonical.refuse('JSON with a repeated key');
            END IF;
            RETURN '{' || coalesce(body, '') || '}';
        WHEN 'array' THEN
            SELECT string_agg(canonical.json_text(element, depth + 1), ',' ORDER BY place)
                INTO body FROM json_array_elements(value) WITH ORDINALITY AS parts (element, place);
            RETURN '[' || coalesce(body, '') || ']';
        WHEN 'string' THEN RETURN to_json(value #>> '{}')::text;
        WHEN 'number' THEN RETURN canonical.number(btrim(value::text, E' \t\n\r'));
        ELSE RETURN btrim(value::text, E' \t\n\r');
    END CASE;
END $$;

-- JSON null is a value, not null.
CREATE OR REPLACE FUNCTION canonical.j(value json) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('j', CASE WHEN value IS NOT NULL THEN canonical.json_text(value, 1) END)
$$;

CREATE OR REPLACE FUNCTION canonical.j(value jsonb) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.j(value::text::json)
$$;

-- Containers: of elements that are framed already --------------------------------------------------

CREATE OR REPLACE FUNCTION canonical.l(elements text[]) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.frame('l', CASE WHEN array_position(elements, NULL) IS NULL THEN array_to_string(elements, '')
                                     ELSE canonical.refuse('expected framed elements, got null') END)
$$;

CREATE OR REPLACE FUNCTION canonical.l_set(elements text[]) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT canonical.l(CASE WHEN elements IS NOT NULL THEN ARRAY(
        SELECT element FROM unnest(elements) AS parts (element) ORDER BY element COLLATE "C") END)
$$;

-- Keys as texts, all of one tag, and framed values in the same order.
CREATE OR REPLACE FUNCTION canonical.m(tag text, keys text[], elements text[]) RETURNS text
IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
DECLARE
    body text;
    members bigint;
    names bigint;
BEGIN
    SELECT string_agg(canonical.frame(tag, key) || element, '' ORDER BY key COLLATE "C"),
           count(*), count(DISTINCT key COLLATE "C")
        INTO body, members, names FROM unnest(keys, elements) AS parts (key, element);
    IF members <> names THEN
        PERFORM canonical.refuse('a map with a repeated key, or a null one');
    END IF;
    RETURN canonical.frame('m', CASE WHEN keys IS NOT NULL THEN coalesce(body, '') END);
END $$;
