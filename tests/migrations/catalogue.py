"""What PostgreSQL's catalogue says, past everything that the code believes."""

from typing import Any

import sqlalchemy as sa

KEYS = """
SELECT c.relname, i.relname, x.indisprimary,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(x.indkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number)
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND x.indisunique
"""
FOREIGN_KEYS = """
SELECT k.conname, c.relname, r.relname,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey)),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (k.confkey))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace
"""
TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner)::text,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped),
       ARRAY(SELECT p.polname::text || ': ' || array_to_string(ARRAY(SELECT pg_get_userbyid(o)::text
             FROM unnest(p.polroles) o), ',') FROM pg_policy p WHERE p.polrelid = c.oid ORDER BY 1)
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
"""
OTHERS = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm', 'f', 'S')
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
"""
POLICY_IDS = "SELECT oid, polrelid FROM pg_policy ORDER BY 1"
GRANTED = """
SELECT DISTINCT grantee::text FROM information_schema.role_table_grants
WHERE table_schema = 'public' AND grantee <> 'retinue_owner'
"""
STATE = """
SELECT tablename, policyname, roles::text, qual, with_check FROM pg_policies
UNION ALL
SELECT relname, '', relrowsecurity::text, relforcerowsecurity::text, '' FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT table_name, grantee, privilege_type, '', '' FROM information_schema.table_privileges
WHERE table_schema = 'public'
UNION ALL
SELECT table_name, grantee, privilege_type, column_name, '' FROM information_schema.column_privileges
WHERE table_schema = 'public'
ORDER BY 1, 2, 3, 4, 5
"""


def rows(connection: sa.Connection, query: str) -> list[Any]:
    return [tuple(row) for row in connection.exec_driver_sql(query)]
