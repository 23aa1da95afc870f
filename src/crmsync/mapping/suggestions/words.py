"""What people and systems call the fields of a person and a company, in eight languages.

They are English, German, French, Spanish, Italian, Dutch, Portuguese and Polish.

A phrase is written in small letters, its words apart, without accents (see `crmsync.mapping.suggestions.names`). Where
a phrase may mean several things, each has a weight: ``nom`` is mostly a family name and sometimes a whole name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONCEPTS: Final[Mapping[str, str]] = {
    "e-mail address": (
        "email, e mail, mail, email address, e mail address, mail address, adresse email, adresse e mail, "
        "adresse mail, adresse de messagerie, adresse electronique, courriel, adresse courriel, mel, messagerie, "
        "correo, correo electronico, email adresse, e mail adresse, mail adresse, indirizzo email, "
        "indirizzo e mail, indirizzo mail, posta elettronica, email adres, e mail adres, mail adres, "
        "endereco de email, endereco de e mail, endereco email, correio eletronico, adres email, adres e mail, "
        "adres mailowy, adres poczty, poczta elektroniczna"
    ),
    "first name": (
        "first name, firstname, fname, given name, forename, first, vorname, rufname, prenom, nombre de pila, "
        "primer nombre, nome proprio, nome di battesimo, primeiro nome, prenome, voornaam, imie, givenname, "
        "nombre:0.9, nome:0.85"
    ),
    "last name": (
        "last name, lastname, lname, surname, sur name, family name, familyname, last, sn, nachname, "
        "familienname, zuname, nom de famille, apellido, apellidos, cognome, sobrenome, apelido, achternaam, "
        "familienaam, nazwisko, nom:0.9, name:0.45"
    ),
    "full name": (
        "full name, fullname, display name, complete name, name, contact name, person name, vollstandiger name, "
        "ganzer name, nom complet, nom et prenom, nombre completo, nombre y apellidos, nome completo, "
        "nome e cognome, volledige naam, naam, imie i nazwisko, kontaktname, nombre:0.7, nome:0.8, nom:0.6, "
        "contactpersoon:0.8"
    ),
    "middle name": (
        "middle name, middlename, second name, additional name, zweiter vorname, deuxieme prenom, "
        "segundo nombre, secondo nome, tweede naam, nome do meio, drugie imie"
    ),
    "nickname": (
        "nickname, nick name, spitzname, surnom, apodo, soprannome, bijnaam, apelido social, pseudonim, alias"
    ),
    "name suffix": "suffix, name suffix, namenszusatz, suffixe, sufijo, suffisso, achtervoegsel, sufixo",
    "salutation": (
        "salutation, honorific, prefix, name prefix, anrede, civilite, formule d appel, tratamiento, saludo, "
        "formula di saluto, aanhef, tratamento, saudacao, zwrot grzecznosciowy, title:0.35, titolo:0.4, "
        "titre:0.3"
    ),
    "academic title": (
        "academic title, akademischer grad, akademischer titel, titel akademischer grad, degree, titel:0.8"
    ),
    "gender": "gender, sex, geschlecht, sexe, genre, genero, sexo, sesso, genere, geslacht, plec",
    "company": (
        "company, company name, organization, organisation, organization name, organisation name, employer, "
        "account name, business name, org, org name, firm, firma, firmenname, unternehmen, unternehmensname, "
        "societe, nom de la societe, nom de societe, entreprise, nom de l entreprise, empresa, "
        "nombre de la empresa, nombre empresa, compania, azienda, nome azienda, societa, nome della societa, "
        "ragione sociale, bedrijf, bedrijfsnaam, organisatie, nome da empresa, organizacao, razao social, "
        "nazwa firmy, przedsiebiorstwo, organizacja, parent customer:0.6, account:0.7"
    ),
    "job title": (
        "job title, jobtitle, job, title, position, function, job position, occupation, berufsbezeichnung, "
        "stellenbezeichnung, funktion, beruf, fonction, poste, intitule du poste, titre du poste, puesto, cargo, "
        "puesto de trabajo, qualifica, mansione, posizione, ruolo, ruolo lavorativo, functie, functietitel, "
        "functienaam, titulo do cargo, stanowisko, stanowisko w organizacji, titre:0.8, titolo:0.75, titel:0.5, "
        "organization title, job role:0.8, role:0.6"
    ),
    "department": (
        "department, abteilung, bereich, service:0.8, departement, departamento, area:0.5, reparto, "
        "dipartimento, afdeling, setor, dzial, organization department"
    ),
    "phone": (
        "phone, telephone, tel, phone number, telephone number, landline, telefon, telefonnummer, rufnummer, "
        "festnetz, telephone fixe, fixe, telefono, numero de telephone, numero de telefono, numero di telefono, "
        "telefono fijo, telefono fisso, telefoon, telefoonnummer, telefone, telefone fixo, numer telefonu, "
        "telefon stacjonarny, voice"
    ),
    "mobile phone": (
        "mobile, mobile phone, mobile number, mobile phone number, cell, cell phone, cellphone, cell number, "
        "cellular, mobil, mobiltelefon, mobilnummer, mobiltelefonnummer, mobilfunk, handy, handynummer, "
        "telefon mobil, portable, telephone portable, telephone mobile, numero de portable, "
        "numero de telephone mobile, gsm, movil, telefono movil, numero de movil, celular, telefono celular, "
        "cellulare, telefono cellulare, telefono mobile, mobiel, mobiele telefoon, mobiel nummer, telemovel, "
        "telefone celular, telefone movel, komorka, telefon komorkowy, numer telefonu komorkowego, sms:0.9, "
        "sms phone number, sms phone"
    ),
    "fax": (
        "fax, fax number, faxnummer, telefax, facsimile, telecopie, telecopieur, numero de fax, numero di fax, faks"
    ),
    "street": (
        "street, street address, road, road name, street road name, address line, address line 1, street name, "
        "line 1, addr 1, address 1, addr1, address1, address street, strasse, strasse hausnummer, strasse nr, "
        "anschrift:0.8, rue, voie, calle, domicilio:0.8, via, indirizzo via, straat, straatnaam, rua, "
        "logradouro, ulica, adresse:0.8, address:0.8, direccion:0.8, indirizzo:0.8, adres:0.8, endereco:0.8, "
        "morada:0.8, route:0.6"
    ),
    "second address line": (
        "address line 2, street 2, line 2, addr 2, address 2, addr2, address2, adresszusatz, "
        "complement d adresse, complemento, apartment, apt, suite, adres regel 2, interno"
    ),
    "third address line": "address line 3, street 3, line 3, addr 3, address 3",
    "whole address": (
        "address, postal address, mailing address, full address, formatted address, adresse, anschrift, "
        "postanschrift, direccion, direccion postal, indirizzo, endereco, morada, adres, adresse postale"
    ),
    "house number": "house number, street number, hausnummer, huisnummer, numero civico, numer domu",
    "post box": "post office box, po box, postfach, boite postale, apartado, casella postale, postbus",
    "city": (
        "city, town, locality, place, ort, stadt, wohnort, ville, localite, commune, ciudad, poblacion, "
        "localidad, municipio, citta, comune, localita, stad, plaats, woonplaats, cidade, municipality, miasto, "
        "miejscowosc"
    ),
    "state": (
        "state, province, state province, state or province, state region, region, county:0.7, bundesland, "
        "kanton, departement administratif, etat:0.8, provincia, comunidad autonoma, estado:0.9, regione, "
        "regione provincia, stato:0.7, provincie, wojewodztwo, administrative area, administrative area level 1, "
        "admin area, uf, distrito"
    ),
    "postal code": (
        "postal code, zip, zip code, zip postal code, postcode, post code, postalcode, plz, postleitzahl, "
        "code postal, cp, codigo postal, cap, codice postale, codice di avviamento postale, cep, kod pocztowy, "
        "kod poczt"
    ),
    "country": (
        "country, country region, country name, nation, land, staat, pays, pais, paese, nazione, kraj, "
        "panstwo:0.8, stato:0.4"
    ),
    "country code": (
        "country code, iso country, iso country code, country iso, landercode, laendercode, code pays, "
        "codigo de pais, codice paese, landcode, kod kraju, dial code:0.5"
    ),
    "birthday": (
        "birthday, birth date, birthdate, date of birth, dob, born, geburtstag, geburtsdatum, geb datum, "
        "date de naissance, anniversaire, naissance, fecha de nacimiento, cumpleanos, nacimiento, "
        "data di nascita, compleanno, geboortedatum, verjaardag, data de nascimento, aniversario, "
        "data urodzenia, urodziny"
    ),
    "anniversary": "anniversary, wedding anniversary, wedding date, hochzeitstag, jahrestag",
    "website": (
        "website, web site, web page, webpage, url, website url, web site url, homepage, home page, www, "
        "internetseite, webseite, site web, site internet, sitio web, pagina web, sito web, sito, site, "
        "strona internetowa, strona www"
    ),
    "linkedin": "linkedin, linked in, linkedin url, linkedin profile, linkedin bio, profil link linkedin",
    "twitter": "twitter, twitter handle, twitter username, twitter bio:0.5, x handle",
    "facebook": "facebook, facebook url, facebook page",
    "notes": (
        "notes, note, comments, comment, description, remarks, remark, about, notiz, notizen, bemerkung, "
        "bemerkungen, kommentar, anmerkung, anmerkungen, beschreibung, remarques, commentaire, commentaires, "
        "notes du contact, notas, comentarios, observaciones, descripcion, descrizione, commenti, opmerking, "
        "opmerkingen, notitie, notities, omschrijving, observacoes, descricao, uwagi, notatki, opis, "
        "message:0.5"
    ),
    "language": (
        "language, preferred language, locale, sprache, korrespondenzsprache, langue, idioma, lingua, taal, "
        "lengua, jezyk"
    ),
    "time zone": (
        "time zone, timezone, zeitzone, fuseau horaire, zona horaria, fuso orario, tijdzone, fuso horario, "
        "strefa czasowa, gmt off, gmt offset"
    ),
    "e-mail opt-out": (
        "email opt out, opted out, opt out, optout, unsubscribed, unsubscribed from all email, "
        "has opted out of email, do not email, do not bulk email, no email, email blacklisted, blacklisted, "
        "opted out of email, hs email optout, email optout, unsubscribe, do not mail:0.6, abgemeldet, "
        "ausgetragen, newsletter abgemeldet, kein newsletter, desinscrit, desabonne, desabonnement, "
        "desabonnement par e mail, baja, dado de baja, no enviar email, annulla l iscrizione, disiscritto, "
        "rinuncia e mail, cancellato dalla newsletter, uitgeschreven, afgemeld, descadastrado, "
        "cancelou inscricao, nao enviar email, wypisany, rezygnacja, do not send marketing material, "
        "do not send mm, do not send marketing materials"
    ),
    "sms opt-out": "sms opt out, sms blacklisted, do not sms, no sms, whatsapp blacklisted:0.4",
    "do not call": "do not call, do not phone, no phone, has opted out of phone, nicht anrufen",
    "fax opt-out": "fax opt out, has opted out of fax, do not fax",
    "newsletter consent": (
        "opt in, opted in, newsletter, newsletter consent, subscribed, consent, marketing consent, "
        "email consent, double opt in, einwilligung, newsletter anmeldung, consentement, inscrit, suscrito, "
        "consentimiento, consenso, iscritto, toestemming, nieuwsbrief, consentimento, zgoda, "
        "zgoda na newsletter, marketing opt in, accepts marketing"
    ),
    "subscription status": (
        "subscription status, subscriber status, email status, marketing status, newsletter subscription status, "
        "member status, email subscription status, status:0.6, anmeldestatus"
    ),
    "opt-in time": (
        "optin time, opt in time, opt in date, timestamp opt, opted in date, confirm time, subscribed at, "
        "subscription date, subscribe date, signup date, date added:0.6, timestamp signup, anmeldedatum, "
        "date d inscription, fecha de alta, data iscrizione, inschrijfdatum, data de inscricao"
    ),
    "opt-in ip address": "optin ip, opt in ip, ip opt, ip address, opted in ip address, confirm ip, ip signup",
    "unsubscribe reason": "unsubscribe reason, opt out reason, abmeldegrund",
    "tags": (
        "tags, tag, labels, label, segments, groups, lists, categories, category:0.6, schlagworter, schlagworte, "
        "etiketten, gruppen, etiquettes, etiquetas, etichette, etykiety, label ids, list ids:0.8, interests:0.5"
    ),
    "lead source": (
        "lead source, source, leadsource, original source, acquisition source, origin, lead source code, quelle, "
        "leadquelle, herkunft, source du lead, origine, provenance, fuente, origen, fonte, fonte lead, "
        "origine lead, bron, origem, zrodlo, campaign source:0.6, utm source:0.5"
    ),
    "lead status": (
        "lead status, hs lead status, status, leadstatus, status reason:0.5, statut, estado:0.5, stato:0.5, etat:0.4"
    ),
    "lifecycle stage": "lifecycle stage, lifecyclestage, life cycle stage, customer stage",
    "rating": (
        "rating, member rating, account rating, bewertung, evaluation, valoracion, valutazione, waardering, ocena"
    ),
    "lead score": (
        "lead score, score, hubspot score, points, evaluation des leads, punteggio, punteggio lead, puntos, "
        "punkte, hubspotscore"
    ),
    "industry": (
        "industry, industry code, sector, branche, wirtschaftszweig, secteur, secteur industriel, "
        "secteur d activite, industria, settore, bedrijfstak, setor de atividade, ramo, branza"
    ),
    "number of employees": (
        "number of employees, num employees, numemployees, employees, employee count, company size, headcount, "
        "numberofemployees, mitarbeiterzahl, anzahl mitarbeiter, mitarbeiter, firmengrosse, nombre d employes, "
        "employes, effectif, numero de empleados, empleados, numero dipendenti, dipendenti, aantal medewerkers, "
        "numero de funcionarios, liczba pracownikow"
    ),
    "annual revenue": (
        "annual revenue, annualrevenue, revenue, turnover, yearly revenue, umsatz, jahresumsatz, "
        "revenus annuels, chiffre d affaires, ingresos anuales, facturacion, ricavi annuali, fatturato, omzet, "
        "jaaromzet, receita anual, faturamento, przychod, obrot"
    ),
    "annual income": "annual income, income, einkommen",
    "vat number": (
        "vat, vat number, vat id, tax id, tax number, tax identification number, ust id nr, ust id, ustidnr, "
        "umsatzsteuer id, numero de tva, tva, nif, cif, identificador fiscal, partita iva, p iva, btw nummer, "
        "nip, cpf, cnpj"
    ),
    "sic code": "sic, sic code, code sic, codice sic",
    "owner": (
        "owner, owner id, contact owner, account owner, hubspot owner, hubspot owner id, assigned user, "
        "assigned to, owner name, besitzer, zustandig, betreuer, proprietaire, propietario, proprietario, "
        "eigenaar, wlasciciel, responsavel"
    ),
    "creation time": (
        "created, created date, created at, created on, create date, createdate, creation date, add time, "
        "created time, date created, erstellt, erstellt am, erstellungsdatum, date de creation, "
        "fecha de creacion, data di creazione, aanmaakdatum, data de criacao, data utworzenia"
    ),
    "change time": (
        "modified, last modified, last modified date, lastmodifieddate, modified at, modified on, updated, "
        "updated at, update time, last changed, last updated, changed at, geandert, geandert am, anderungsdatum, "
        "date de modification, fecha de modificacion, data di modifica, gewijzigd, data de alteracao, "
        "data modyfikacji"
    ),
    "last activity": (
        "last activity, last activity date, last contacted, last viewed date:0.4, notes last contacted, "
        "letzte aktivitat"
    ),
    "last login": "last login, last seen",
    "record id": (
        "id, contact id, record id, hs object id, vid, uid, guid, uuid, external id, ext id, customer id, "
        "subscriber id, person id, lead id, leid, euid, kundennummer:0.7, customer number:0.7, kunden nr:0.7, "
        "key"
    ),
    "account id": (
        "account id, organization id, org id, company id, parent customer id, associated company id, "
        "associatedcompanyid, accountid"
    ),
    "account number": (
        "account number, customer number, kundennummer, numero de client, numero de cliente, codice cliente, "
        "klantnummer, numer klienta"
    ),
    "currency": "currency, currency code, currency iso code, wahrung, devise, moneda, valuta, moeda, waluta",
    "latitude": "latitude, lat, breitengrad, latitud, latitudine, breedtegraad, szerokosc geograficzna",
    "longitude": "longitude, lng, lon, long, langengrad, longitud, longitudine, lengtegraad, dlugosc geograficzna",
    "photo": "photo, photo url, picture, picture id, image, avatar, bild, foto, image url, entity image",
    "assistant name": "assistant name, assistantname, assistant, assistants name, assistants s name, assistent",
    "assistant phone": "assistant phone, asst phone, assistants phone, assistantphone, assistant s phone",
    "manager name": (
        "manager, manager name, managername, managers name, reports to:0.8, reports to id:0.8, vorgesetzter"
    ),
    "spouse": "spouse, spouse name, spousesname, ehepartner, partner name:0.6, conjoint",
    "children": "children, number of children, numberofchildren, has children",
    "marital status": "marital status, family status, familienstand, etat civil, estado civil, stato civile",
    "pager": "pager, beeper",
    "instant messenger": "im, instant messenger, messenger, skype, icq, whatsapp:0.7",
    "bounced": "bounced, email bounced, is email bounced, hard bounced, hs email hard bounced, email quarantined:0.6",
    "bounce reason": "bounce reason, email bounced reason",
    "bounce time": "bounce date, email bounced date",
    "deleted": "deleted, is deleted, supprime, eliminato, geloscht, isdeleted",
    "vip": "vip, is vip",
    "e-mail client": "email client, mail client",
    "e-mail format": "email type, email format, mail format, html or text",
    "kind": "type, kind, account type, customer type, contact type, typ, kundentyp, tipo, tipo de contacto",
    "preferred contact method": "preferred contact method, preferred contact method code, preferred channel",
    "government id": "government id, government identifier, national id, ssn, social security number, pesel",
    "employee id": "employee id, employee number, personalnummer",
    "visibility": "visible to, visibility",
    "amount spent": "total spent, amount spent, total revenue, lifetime value, ltv, spent",
    "number of orders": "orders count, number of orders, total orders, order count, num orders",
    "password": "password, passwort, mot de passe, contrasena, wachtwoord, senha, haslo",
}
"""Each thing a field may mean, and the phrases that mean it; ``phrase:0.8`` is a phrase that means it less surely."""

QUALIFIERS: Final[Mapping[str, tuple[float, str]]] = {
    "primary": (0.03, "primary, main, default, haupt, principal, principale, primario, hoofd, glowny, 1"),
    "business": (
        0.08,
        (
            "business, work, office, company, corporate, geschaftlich, dienstlich, buro, firma, professionnel, "
            "professionnelle, bureau, travail, trabajo, laboral, oficina, profesional, ufficio, lavoro, "
            "aziendale, werk, zakelijk, kantoor, trabalho, comercial, escritorio, sluzbowy, firmowy, praca, "
            "de l entreprise, uff"
        ),
    ),
    "mailing": (
        0.07,
        ("mailing, postal, post, contact, postale, kontakt, correspondence, correspondance, corrispondenza"),
    ),
    "home": (
        0.3,
        (
            "home, private, personal, privat, domicile, personnel, personnelle, domicilio, casa, particular, "
            "personale, thuis, prive, pessoal, residencial, residenza, domowy, prywatny"
        ),
    ),
    "other": (
        0.45,
        ("other, alternate, alternative, andere, weitere, autre, otro, otra, altro, overige, outro, inny"),
    ),
    "of the address": (0.15, "of the address"),
    "billing": (
        0.35,
        (
            "billing, invoice, bill to, rechnung, rechnungs, facturation, de facturation, facturacion, "
            "fatturazione, di fatturazione, factuur, faturamento, cobranca, rozliczeniowy"
        ),
    ),
    "shipping": (
        0.45,
        ("shipping, delivery, ship to, liefer, lieferung, livraison, envio, entrega, spedizione, verzend"),
    ),
    "second": (0.5, "secondary, second, 2, ii, zweite, secondaire, secundario, secondario, tweede, dodatkowy"),
    "third": (0.55, "third, 3, iii, 4, 5"),
    "assistant": (0.6, "assistant, asst, assistent, assistente, asistente"),
    "phonetic": (0.6, "phonetic, yomi, furigana"),
    "spouse": (0.6, "spouse, partner, ehepartner"),
    "account": (0.3, "account, organization, organisation"),
    "lead": (0.05, "lead, prospect"),
    "original": (0.15, "original, first touch, latest"),
    "code": (0.1, "code, iso"),
    "type": (0.6, "type, typ, kind, category type"),
    "count": (0.6, "count, number of, num, anzahl, nombre de, total"),
    "last": (0.5, "most recent, recent, next"),
    "domain": (0.5, "domain"),
    "url": (0.1, "url, link"),
    "id": (0.35, "id, key, guid"),
    "bounced": (0.6, "bounced, bounce, invalid, quarantined"),
    "accuracy": (0.8, "accuracy, geocode"),
}
"""What tells one field of a kind from another, with how much of a likeness goes if only one of two fields has it."""

FILLERS: Final = frozenset(
    (
        "the a an of for and or in to your my der die das des und von zum zur la le "
        "les l d de du et un une el los las y i della dello del di il lo gli e o da "
        "do dos het een van en w z na number no nr nummer numer numero field person people "
        "personne feld champ campo veld pole value hs property custom cf is has name s c "
        "markmail salesforce sfdc sf hubspot mailchimp marketo pipedrive dynamics crm "
    ).split()
)
"""Words that are left out where no phrase holds them."""

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "subscription status": frozenset({"subscribed", "unsubscribed", "unconfirmed", "opted in", "opted out"}),
    "gender": frozenset({"male", "female", "mannlich", "weiblich", "homme", "femme"}),
}
"""Options that tell what a picklist means better than its name does."""
