-- The canonical form, version 1 (canonical-form.md), computed by MariaDB itself: for an auditor who trusts the database alone.
-- Tried on MariaDB 10.11; needs 10.6 or newer.
--
--     mariadb --default-character-set=utf8mb4 DATABASE < canonical.mariadb.sql      makes functions canonical_*, again if need be
--
-- With the binary log on, making functions takes the right SUPER, or log_bin_trust_function_creators.
--
-- One function for each tag: it takes a column as it is and gives the framed text, `~` for null. What has no canonical form is an
-- error, never a guess. The row text is the framed texts of the compared columns, in BYTE ORDER OF THEIR MAPPED NAMES:
--
--     SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES';
--     SELECT canonical_key_id(canonical_n(id)),
--            canonical_row_hash(CONCAT(canonical_n(amount), canonical_n(id), canonical_large(canonical_s(note))))
--     FROM orders;          -- columns amount, id (the key), note (declared large); in hex, as events and bundles show it
--
--     TINYINT(1), BOOLEAN        canonical_b(c)       declared boolean; else canonical_n(c). BIT(1): canonical_b(c)
--     TINYINT to BIGINT          canonical_n(c)       UNSIGNED and ZEROFILL, too; YEAR
--     DECIMAL                    canonical_n(c)
--     FLOAT, DOUBLE              canonical_f(c)
--     CHAR, VARCHAR, TEXT        canonical_s(c)       ENUM, INET4, INET6
--     BINARY, VARBINARY, BLOB    canonical_x(c)       BIT(n): canonical_bits(c, n)
--     DATE                       canonical_d(c)
--     DATETIME, TIMESTAMP        canonical_t(c)       TIMESTAMP is read in the session's time_zone: set it to UTC, as above
--     TIME                       canonical_c(c)
--     UUID, or text that is one  canonical_u(c)       either case: a declared `uuid`
--     JSON, or text that is      canonical_j(c)
--     SET                        canonical_set(c)     tag l
--
-- Give a function columns of its own types only: the server converts others before the function sees them, without strict mode by
-- guessing.
--
-- What is not shared, or only so far:
--   * There are no lists, maps, intervals, infinities and no NaN; nor are JSON columns here that are declared list, set or map.
--   * JSON nested deeper than 31 is refused here (the server's own bound; the canonical form's is 128), and so is a key
--     of more than 256 UTF-16 units.
--   * A zero date, or a date that ALLOW_INVALID_DATES let in, is refused here; the connector sends null or another date for it.
--   * CHAR has lost its padding and FLOAT its digits when they were stored; BINARY(n) keeps its zeros.
--   * Times have µs here, never ns. `unicode: nfc`, geometry, and expressions in DataFusion's dialect are not here.
--   * BIGINT UNSIGNED above 2^63-1 is itself here; in the connector's default mode it reaches the topic as a negative number.
--   * The type UUID refuses some UUIDs (by version and variant) when they are stored.
--   * A row text beyond max_allowed_packet becomes null, and is refused.

SET NAMES utf8mb4;
SET @canonical_sql_mode = @@SESSION.sql_mode;
SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO';

DELIMITER $$

-- Framing, hashes ------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION canonical_frame(tag CHAR(1), body LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN COALESCE(CONCAT(tag, LENGTH(body), ':', body), '~')
$$

CREATE OR REPLACE FUNCTION canonical_refuse(reason VARCHAR(100) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE said VARCHAR(128) DEFAULT CONCAT('no canonical form: ', reason);
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = said;
    RETURN NULL;
END
$$

-- In hex.
CREATE OR REPLACE FUNCTION canonical_row_hash(row_text LONGTEXT CHARACTER SET utf8mb4)
RETURNS CHAR(64) CHARACTER SET ascii DETERMINISTIC NO SQL
RETURN IF(row_text IS NULL, canonical_refuse('expected a row text, got null'), SHA2(row_text, 256))
$$

CREATE OR REPLACE FUNCTION canonical_key_id(key_text LONGTEXT CHARACTER SET utf8mb4)
RETURNS CHAR(32) CHARACTER SET ascii DETERMINISTIC NO SQL
RETURN LEFT(canonical_row_hash(key_text), 32)
$$

-- The same with `hash_key` declared: HMAC-SHA-256 (RFC 2104) under its octets.
CREATE OR REPLACE FUNCTION canonical_row_hmac(row_text LONGTEXT CHARACTER SET utf8mb4, hash_key LONGBLOB)
RETURNS CHAR(64) CHARACTER SET ascii DETERMINISTIC NO SQL
BEGIN
    DECLARE padded BLOB DEFAULT IF(LENGTH(hash_key) > 64, UNHEX(SHA2(hash_key, 256)), hash_key);
    DECLARE inner_pad, outer_pad BLOB DEFAULT '';
    DECLARE i INT DEFAULT 1;
    IF row_text IS NULL OR hash_key IS NULL THEN
        RETURN canonical_refuse('expected a row text and a key, got null');
    END IF;
    WHILE i <= 64 DO
        SET inner_pad = CONCAT(inner_pad, CHAR(ASCII(SUBSTRING(padded, i, 1)) ^ 54));
        SET outer_pad = CONCAT(outer_pad, CHAR(ASCII(SUBSTRING(padded, i, 1)) ^ 92));
        SET i = i + 1;
    END WHILE;
    RETURN SHA2(CONCAT(outer_pad, UNHEX(SHA2(CONCAT(inner_pad, CAST(row_text AS BINARY)), 256))), 256);
END
$$

CREATE OR REPLACE FUNCTION canonical_key_hmac(key_text LONGTEXT CHARACTER SET utf8mb4, hash_key LONGBLOB)
RETURNS CHAR(32) CHARACTER SET ascii DETERMINISTIC NO SQL
RETURN LEFT(canonical_row_hmac(key_text, hash_key), 32)
$$

-- A large column inside a row's text: always the plain hash.
CREATE OR REPLACE FUNCTION canonical_large(framed LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN IF(framed = '~', '~', canonical_frame('h', canonical_row_hash(framed)))
$$

-- Single values --------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION canonical_b(value DOUBLE)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('b', CASE WHEN value = 1 THEN '1' WHEN value = 0 THEN '0'
                                 WHEN value IS NOT NULL THEN canonical_refuse('expected a boolean, got another number') END)
$$

CREATE OR REPLACE FUNCTION canonical_s(value LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('s', value)
$$

CREATE OR REPLACE FUNCTION canonical_x(value LONGBLOB)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('x', LOWER(HEX(value)))
$$

-- The bits as one number, its octets from the lowest on.
CREATE OR REPLACE FUNCTION canonical_bits(value BIGINT UNSIGNED, width INT)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE digits VARCHAR(16) DEFAULT LPAD(LOWER(HEX(value)), (width + 7) DIV 8 * 2, '0');
    DECLARE body VARCHAR(16) DEFAULT '';
    WHILE digits <> '' DO
        SET body = CONCAT(body, RIGHT(digits, 2)), digits = LEFT(digits, CHAR_LENGTH(digits) - 2);
    END WHILE;
    RETURN canonical_frame('x', IF(value IS NULL, NULL, body));
END
$$

CREATE OR REPLACE FUNCTION canonical_u(value VARCHAR(255) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('u', CASE
    WHEN value REGEXP '^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\\z' THEN LOWER(value)
    WHEN value IS NOT NULL THEN canonical_refuse('expected a UUID with dashes, got other text') END)
$$

-- Numbers --------------------------------------------------------------------------------------------

-- The text of a number as written, an exponent included.
CREATE OR REPLACE FUNCTION canonical_number(written LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE mantissa, fraction, digits LONGTEXT CHARACTER SET utf8mb4;
    DECLARE exponent, power, point BIGINT;
    IF written NOT REGEXP '^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?\\z' THEN
        RETURN canonical_refuse('expected a number, got other text');
    END IF;
    SET mantissa = TRIM(LEADING '+' FROM TRIM(LEADING '-' FROM SUBSTRING_INDEX(LOWER(written), 'e', 1)));
    SET fraction = IF(LOCATE('.', mantissa) = 0, '', SUBSTRING_INDEX(mantissa, '.', -1));
    SET digits = TRIM(LEADING '0' FROM REPLACE(mantissa, '.', ''));
    IF digits = '' THEN
        RETURN '0';
    END IF;
    IF CHAR_LENGTH(REGEXP_SUBSTR(written, '(?<=[eE])[+-]?0*[0-9]+')) - IFNULL(
        CHAR_LENGTH(REGEXP_SUBSTR(written, '(?<=[eE])[+-]?0*')), 0) > 9 THEN
        RETURN canonical_refuse('a number of more than 10,000 digits');
    END IF;
    SET exponent = IF(LOCATE('e', LOWER(written)) = 0, 0, CAST(SUBSTRING_INDEX(LOWER(written), 'e', -1) AS SIGNED));
    SET power = exponent - CHAR_LENGTH(fraction) + CHAR_LENGTH(digits);
    SET digits = TRIM(TRAILING '0' FROM digits);
    SET point = power, power = power - CHAR_LENGTH(digits);
    IF GREATEST(point, 1) + GREATEST(-power, 0) > 10000 THEN
        RETURN canonical_refuse('a number of more than 10,000 digits');
    END IF;
    RETURN CONCAT(IF(LEFT(written, 1) = '-', '-', ''), CASE
        WHEN power >= 0 THEN CONCAT(digits, REPEAT('0', power))
        WHEN point > 0 THEN CONCAT(LEFT(digits, point), '.', SUBSTRING(digits, point + 1))
        ELSE CONCAT('0.', REPEAT('0', -point), digits)
    END);
END
$$

-- By the number's text, which is exact for these types; that of a float is refused where it has an exponent.
CREATE OR REPLACE FUNCTION canonical_n(value LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('n', CASE WHEN value REGEXP '[eE]' THEN canonical_refuse('expected an exact number, got a float')
                                 WHEN value IS NOT NULL THEN canonical_number(value) END)
$$

-- ECMA-262 Number::toString. The server's digits are the shortest, as ECMAScript's; only the form differs. A FLOAT is widened.
CREATE OR REPLACE FUNCTION canonical_f(value DOUBLE)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE shown VARCHAR(400) DEFAULT CAST(ABS(value) AS CHAR);
    DECLARE mantissa VARCHAR(400) DEFAULT SUBSTRING_INDEX(shown, 'e', 1);
    DECLARE whole VARCHAR(400) DEFAULT SUBSTRING_INDEX(mantissa, '.', 1);
    DECLARE digits VARCHAR(400) DEFAULT TRIM(LEADING '0' FROM REPLACE(mantissa, '.', ''));
    DECLARE point INT;   -- the value is 0.digits times 10^point
    IF value IS NULL OR value = 0 THEN
        RETURN canonical_frame('f', IF(value = 0, '0', NULL));
    END IF;
    SET point = CHAR_LENGTH(whole) - (CHAR_LENGTH(REPLACE(mantissa, '.', '')) - CHAR_LENGTH(digits))
        + IF(LOCATE('e', shown) = 0, 0, CAST(SUBSTRING_INDEX(shown, 'e', -1) AS SIGNED));
    SET digits = TRIM(TRAILING '0' FROM digits);
    RETURN canonical_frame('f', CONCAT(IF(value < 0, '-', ''), CASE
        WHEN CHAR_LENGTH(digits) <= point AND point <= 21 THEN CONCAT(digits, REPEAT('0', point - CHAR_LENGTH(digits)))
        WHEN point BETWEEN 1 AND 21 THEN CONCAT(LEFT(digits, point), '.', SUBSTRING(digits, point + 1))
        WHEN point BETWEEN -5 AND 0 THEN CONCAT('0.', REPEAT('0', -point), digits)
        ELSE CONCAT(LEFT(digits, 1), IF(CHAR_LENGTH(digits) > 1, CONCAT('.', SUBSTRING(digits, 2)), ''),
                    'e', IF(point > 0, '+', '-'), ABS(point - 1))
    END));
END
$$

-- Dates and times ------------------------------------------------------------------------------------

-- The server keeps dates that are in no calendar, by its sql_mode; years are 0 to 9999.
CREATE OR REPLACE FUNCTION canonical_day(value DATE)
RETURNS CHAR(10) CHARACTER SET utf8mb4 DETERMINISTIC NO SQL
RETURN CASE WHEN MONTH(value) = 0 OR DAYOFMONTH(value) = 0
        OR DAYOFMONTH(value) > DAYOFMONTH(LAST_DAY(CONCAT(DATE_FORMAT(value, '%Y-%m'), '-01')))
    THEN canonical_refuse('expected a date of the calendar, got a day that does not exist')
    ELSE DATE_FORMAT(value, '%Y-%m-%d') END
$$

-- A DATETIME at midnight is one, too; as a DATE it would lose its time without a word.
CREATE OR REPLACE FUNCTION canonical_d(value DATETIME(6))
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('d', IF(TIME(value) <> 0, canonical_refuse('expected a date, got a time of day with it'),
                               canonical_day(DATE(value))))
$$

CREATE OR REPLACE FUNCTION canonical_t(value DATETIME(6))
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('t', CONCAT(canonical_day(DATE(value)), DATE_FORMAT(value, 'T%H:%i:%s.%f')))
$$

CREATE OR REPLACE FUNCTION canonical_c(value TIME(6))
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('c', CASE WHEN value < '00:00:00' OR value > '24:00:00'
    THEN canonical_refuse('expected a time of day, got one outside 00:00 to 24:00')
    ELSE TIME_FORMAT(value, '%H:%i:%s.%f') END)
$$

-- Sets -----------------------------------------------------------------------------------------------

-- A set's labels, between commas, as a list in the order of their framed octets.
CREATE OR REPLACE FUNCTION canonical_set(value LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '';
    DECLARE whole BIGINT DEFAULT 0;
    IF value <> '' THEN
        WITH RECURSIVE labels (label, rest) AS (
            SELECT SUBSTRING_INDEX(value, ',', 1), IF(LOCATE(',', value) = 0, NULL, SUBSTRING(value, LOCATE(',', value) + 1))
            UNION ALL
            SELECT SUBSTRING_INDEX(rest, ',', 1), IF(LOCATE(',', rest) = 0, NULL, SUBSTRING(rest, LOCATE(',', rest) + 1))
            FROM labels WHERE rest IS NOT NULL
        )
        SELECT GROUP_CONCAT(canonical_s(label) ORDER BY CAST(canonical_s(label) AS BINARY) SEPARATOR ''),
               SUM(LENGTH(canonical_s(label)))
            INTO body, whole FROM labels;
    END IF;
    IF LENGTH(body) <> whole THEN
        RETURN canonical_refuse('more labels than group_concat_max_len allows');
    END IF;
    RETURN canonical_frame('l', IF(value IS NULL, NULL, body));
END
$$

-- JSON -----------------------------------------------------------------------------------------------

-- A string as written, with its quotes, in RFC 8785's escapes.
CREATE OR REPLACE FUNCTION canonical_json_string(written LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        DEFAULT REPLACE(REPLACE(JSON_UNQUOTE(written), '\\', '\\\\'), '"', '\\"');
    DECLARE code INT DEFAULT 0;
    IF body REGEXP '[\\x00-\\x1f]' THEN
        WHILE code < 32 DO
            SET body = REPLACE(body, CHAR(code USING utf8mb4), CASE code
                WHEN 8 THEN '\\b' WHEN 9 THEN '\\t' WHEN 10 THEN '\\n' WHEN 12 THEN '\\f' WHEN 13 THEN '\\r'
                ELSE CONCAT('\\u', LPAD(LOWER(HEX(code)), 4, '0')) END);
            SET code = code + 1;
        END WHILE;
    END IF;
    RETURN CONCAT('"', body, '"');
END
$$

-- JSON_VALID vouches for the grammar; this walks over the tokens. Open arrays and objects stand on a stack of strings, in hex so
-- that nothing in them can be taken for what divides them:
--     A<elements, joined by 2C>        O,{"k":"<UTF-16>","t":"<key>3A<value>"},...#<UTF-16 of the key that waits for its value>
CREATE OR REPLACE FUNCTION canonical_json(value LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
BEGIN
    DECLARE rest, below, top, token, done, waiting LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    DECLARE members, names, whole BIGINT;
    IF NOT JSON_VALID(value) THEN
        RETURN canonical_refuse('expected JSON that is nested at most 31 deep, got other text');
    END IF;
    SET rest = value, below = '', top = '';
    WHILE TRUE DO
        SET rest = REGEXP_REPLACE(rest, '^[ \\t\\r\\n,:]+', ''), done = NULL;
        SET token = REGEXP_SUBSTR(rest, CONCAT(
            '^(?:[\\[\\]{}]',
            '|"(?:[^"\\\\]++|\\\\(?:["\\\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"',
            '|[^\\[\\]{}",: \\t\\r\\n]+)'));
        IF token = '' THEN
            RETURN canonical_refuse('expected JSON, got other text');
        END IF;
        SET rest = SUBSTRING(rest, CHAR_LENGTH(token) + 1);
        CASE
            WHEN token = '{' THEN SET below = CONCAT(below, top, '|'), top = 'O';
            WHEN token = '[' THEN SET below = CONCAT(below, top, '|'), top = 'A';
            WHEN token = ']' THEN SET done = CONCAT('5B', SUBSTRING(top, 2), '5D');
            WHEN token = '}' THEN
                SELECT GROUP_CONCAT(t ORDER BY k SEPARATOR '2C'), COUNT(*), COUNT(DISTINCT k), SUM(LENGTH(t) + 2) - 2
                    INTO done, members, names, whole
                    FROM JSON_TABLE(CONCAT('[', SUBSTRING(top, 3), ']'), '$[*]' COLUMNS (
                        k VARCHAR(1024) CHARACTER SET ascii PATH '$.k', t LONGTEXT CHARACTER SET ascii PATH '$.t')) AS parts;
                IF members <> names THEN
                    RETURN canonical_refuse('JSON with a repeated key');
                ELSEIF LENGTH(done) <> whole THEN
                    RETURN canonical_refuse('JSON larger than group_concat_max_len allows');
                END IF;
                SET done = CONCAT('7B', COALESCE(done, ''), '7D');
            WHEN LEFT(token, 1) = '"' AND LEFT(top, 1) = 'O' AND LOCATE('#', top) = 0 THEN
                SET waiting = HEX(CONVERT(JSON_UNQUOTE(token) USING utf16));
                IF LENGTH(waiting) > 1024 THEN
                    RETURN canonical_refuse('a JSON key of more than 256 UTF-16 units: cannot be sorted here');
                END IF;
                SET top = CONCAT(top, '#', waiting);
            WHEN LEFT(token, 1) = '"' THEN SET done = HEX(canonical_json_string(token));
            WHEN token IN ('true', 'false', 'null') THEN SET done = HEX(token);
            ELSE SET done = HEX(canonical_number(token));
        END CASE;
        IF token IN (']', '}') THEN
            SET top = SUBSTRING_INDEX(SUBSTRING_INDEX(below, '|', -2), '|', 1);
            SET below = LEFT(below, CHAR_LENGTH(below) - CHAR_LENGTH(top) - 1);
        END IF;
        IF done IS NOT NULL THEN
            CASE LEFT(top, 1)
                WHEN 'A' THEN SET top = CONCAT(top, IF(top = 'A', '', '2C'), done);
                WHEN 'O' THEN
                    SET waiting = SUBSTRING_INDEX(top, '#', -1);
                    SET token = canonical_json_string(JSON_QUOTE(CONVERT(CONVERT(UNHEX(waiting) USING utf16) USING utf8mb4)));
                    SET top = CONCAT(SUBSTRING_INDEX(top, '#', 1), ',{"k":"', waiting, '","t":"', HEX(token), '3A', done, '"}');
                ELSE
                    RETURN IF(rest REGEXP '^[ \\t\\r\\n]*\\z', CONVERT(UNHEX(done) USING utf8mb4),
                              canonical_refuse('expected one JSON value'));
            END CASE;
        END IF;
    END WHILE;
END
$$

-- JSON null is a value, not null.
CREATE OR REPLACE FUNCTION canonical_j(value LONGTEXT CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DETERMINISTIC NO SQL
RETURN canonical_frame('j', IF(value IS NULL, NULL, canonical_json(value)))
$$

DELIMITER ;

SET SESSION sql_mode = @canonical_sql_mode;
