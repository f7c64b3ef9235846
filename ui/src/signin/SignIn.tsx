import { HeartHandshake } from "lucide-react";
import { useEffect, useState } from "react";
import {
  Button,
  Disclosure,
  DisclosurePanel,
  FieldError,
  Form,
  Input,
  Label,
  Text,
  TextField,
} from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import { forgetDrafts } from "../chat/ChatPanel";
import type { Snapshot } from "../api/bindings";
import { Problem, isOfField, type Field } from "../parts/Problem";

/** Sign in, or make a patient's account. What was typed stays, whatever the service says. */
export function SignIn({ snapshot }: { snapshot: Snapshot }) {
  const { t } = useTranslation();
  const ask = useAsk();
  useEffect(forgetDrafts, []);
  const [isNew, setNew] = useState(false);
  const [shown, setShown] = useState(false);
  const [service, setService] = useState(snapshot.service);
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const wrong = (field: Field) => isOfField(snapshot.problem, field);
  const submit = () => {
    if (isNew) ask({ ask: "register", service, name, email, password });
    else ask({ ask: "signIn", service, email, password });
  };
  return (
    <main className="sign-in">
      <span className="brand">
        <HeartHandshake aria-hidden size={32} /> {snapshot.clinic ?? t("app.name")}
      </span>
      <Form
        className="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div>
          <h1>{isNew ? t("signIn.registerTitle") : t("signIn.title")}</h1>
          <p className="quiet">{isNew ? t("signIn.registerLead") : t("signIn.lead")}</p>
        </div>
        {!isOfField(snapshot.problem) && <Problem problem={snapshot.problem} />}
        {isNew && (
          <TextField className="field" isRequired value={name} onChange={setName} maxLength={100}>
            <Label>{t("signIn.name")}</Label>
            <Input name="name" autoComplete="name" />
            <FieldError className="error" />
          </TextField>
        )}
        <TextField className="field" type="email" isRequired value={email} onChange={setEmail}>
          <Label>{t("signIn.email")}</Label>
          <Input
            name="email"
            autoComplete="username"
            {...(wrong("email") ? { "aria-invalid": true, "aria-describedby": "wrong-email" } : {})}
          />
          <FieldError className="error" />
          {wrong("email") && (
            <p className="error" role="alert" id="wrong-email">
              {t("problem.emailTaken")}
            </p>
          )}
        </TextField>
        <TextField
          className="field"
          type={shown ? "text" : "password"}
          isRequired
          value={password}
          onChange={setPassword}
          {...(isNew ? { minLength: 10 } : {})}
        >
          <Label>{t("signIn.password")}</Label>
          <div className="with-button">
            <Input
              name="password"
              autoComplete={isNew ? "new-password" : "current-password"}
              {...(wrong("password")
                ? { "aria-invalid": true, "aria-describedby": "wrong-password" }
                : {})}
            />
            <Button
              className="button"
              onPress={() => {
                setShown(!shown);
              }}
            >
              {shown ? t("signIn.hidePassword") : t("signIn.showPassword")}
            </Button>
          </div>
          {isNew && <Text slot="description">{t("signIn.passwordHint")}</Text>}
          <FieldError className="error" />
          {wrong("password") && (
            <p className="error" role="alert" id="wrong-password">
              {t("problem.wrongCredentials")}
            </p>
          )}
        </TextField>
        <Button type="submit" className="button main" data-do="submit">
          {isNew ? t("signIn.register") : t("signIn.submit")}
        </Button>
        <Button
          className="button"
          data-do="newHere"
          onPress={() => {
            setNew(!isNew);
          }}
        >
          {isNew ? t("signIn.haveAccount") : t("signIn.newHere")}
        </Button>
        <Disclosure defaultExpanded={snapshot.service === ""}>
          <Button slot="trigger" className="button">
            {t("signIn.otherClinic")}
          </Button>
          <DisclosurePanel>
            <TextField
              className="field"
              isRequired
              value={service}
              onChange={setService}
              onBlur={() => {
                ask({ ask: "lookUp", service });
              }}
            >
              <Label>{t("signIn.service")}</Label>
              <Input name="service" autoComplete="url" />
              <Text slot="description">{t("signIn.serviceHint")}</Text>
              <FieldError className="error" />
            </TextField>
          </DisclosurePanel>
        </Disclosure>
      </Form>
    </main>
  );
}
