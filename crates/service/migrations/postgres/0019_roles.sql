-- Machines and other systems have accounts as well.
ALTER TABLE users DROP CONSTRAINT users_role_check;
ALTER TABLE users ADD CONSTRAINT users_role_check
    CHECK (role IN ('PATIENT', 'DOCTOR', 'CLINIC_ADMIN', 'KIOSK', 'SERVICE'));
